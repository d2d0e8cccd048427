#include "invoke/function_table.h"
#include "invoke/testing/table_fixture.h"

namespace sterna::invoke {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using pool::testing::exit_code;
using pool::testing::exit_signal;
using registry::FunctionStatus;
using registry::VersionState;

class RenewalTest : public TableTest {
 protected:
  // A function whose worker has the secret "old" and a run under way.
  void start() {
    table_.apply(running_with(1, "old"));
    old_ = &invoke();
    worker(0).ready();
    settle();
    request_ = worker(0).receive(wire::FrameType::kRequest).at(0);
    worker(0).begin(request_);
  }
  std::string secret_of(std::size_t index) { return worker(index).config().secrets.at("KEY"); }

  const TestRun* old_ = nullptr;
  pool::testing::OwnedFrame request_;
};

TEST_F(RenewalTest, ChangedSecretIsTakenOverWithoutAFailedCall) {
  start();
  table_.apply(running_with(1, "new"));
  ASSERT_EQ(launcher_.started(), 2U);
  EXPECT_EQ(secret_of(1), "new");
  EXPECT_EQ(entry().active->config().secrets.at("KEY"), "old");  // until the new worker has loaded
  const TestRun& waits = invoke();
  worker(1).ready();
  settle();
  EXPECT_EQ(entry().active->config().secrets.at("KEY"), "new");
  EXPECT_FALSE(entry().candidate);
  answer(1, "new");
  EXPECT_EQ(waits.body, "new");
  EXPECT_TRUE(told_to_leave(0));
  worker(0).respond(request_, "old", milliseconds(1));
  settle();
  EXPECT_EQ(old_->body, "old");
  EXPECT_TRUE(store_.lines.empty());  // no version has changed
}

TEST_F(RenewalTest, SameSecretChangesNothing) {
  start();
  table_.apply(running_with(1, "old"));
  EXPECT_EQ(launcher_.started(), 1U);
  EXPECT_FALSE(entry().candidate);
}

TEST_F(RenewalTest, IdleFunctionTakesTheSecretWithItsNextWorker) {
  table_.apply(running_with(1, "old"));
  table_.apply(running_with(1, "new"));
  EXPECT_EQ(launcher_.started(), 0U);
  invoke();
  EXPECT_EQ(secret_of(0), "new");
}

TEST_F(RenewalTest, SecretThatIsGoneIsTakenFromRunningFunctions) {
  start();
  table_.apply(running(1));
  ASSERT_EQ(launcher_.started(), 2U);
  worker(1).ready();
  settle();
  EXPECT_TRUE(worker(1).config().secrets.empty());
  EXPECT_TRUE(told_to_leave(0));
}

TEST_F(RenewalTest, WorkersWithASecretThatDoesNotLoadLeaveTheOldOnes) {
  start();
  table_.apply(running_with(1, "bad"));
  worker(1).load_failed("ValueError", "Traceback");
  settle();
  EXPECT_TRUE(logs_.back().contains("changed secrets"));
  EXPECT_TRUE(store_.lines.empty());
  worker(1).exit(exit_code(1));
  worker(0).respond(request_, "old", milliseconds(1));
  settle();
  EXPECT_EQ(old_->body, "old");
  table_.apply(running_with(1, "good"));
  worker(2).ready();
  settle();
  EXPECT_EQ(entry().active->config().secrets.at("KEY"), "good");
}

TEST_F(RenewalTest, SecretThatChangesTwiceIsTakenAsItIsLast) {
  start();
  table_.apply(running_with(1, "second"));
  table_.apply(running_with(1, "third"));
  EXPECT_TRUE(worker(1).killed());
  worker(1).exit(exit_signal(9));
  pass(milliseconds(200));
  EXPECT_EQ(secret_of(2), "third");
  worker(2).ready();
  settle();
  EXPECT_EQ(entry().active->config().secrets.at("KEY"), "third");
  table_.apply(running_with(1, "third"));
  EXPECT_FALSE(entry().candidate);
}

TEST_F(RenewalTest, NewVersionThatHasLoadedTakesOverBeforeItGetsAnotherSecret) {
  start();
  registry::Function next = function(2, VersionState::kPending, 1);
  next.secret_values["KEY"] = "old";
  table_.apply(next);
  worker(1).ready();
  settle();
  EXPECT_EQ(store_.last(), "activate id-motion 2 sync fake 1.0");
  next.secret_values["KEY"] = "new";
  table_.apply(next);  // before the activation is written
  EXPECT_FALSE(worker(1).killed());
  table_.apply(running_with(2, "new"));
  settle();
  EXPECT_EQ(entry().active->config().version, 2U);
  EXPECT_EQ(secret_of(1), "old");
  EXPECT_TRUE(told_to_leave(0));
  worker(0).respond(request_, "old", milliseconds(1));
  settle();
  EXPECT_EQ(old_->body, "old");
  worker(0).exit(exit_code(0));
  pass(milliseconds(100));
  ASSERT_EQ(launcher_.started(), 3U);
  EXPECT_EQ(secret_of(2), "new");
  worker(2).ready();
  settle();
  EXPECT_EQ(entry().active->config().secrets.at("KEY"), "new");
  EXPECT_TRUE(told_to_leave(1));
}

TEST_F(RenewalTest, FunctionThatFailedRunsAgainWithTheRightSecret) {
  registry::Function failed = running_with(1, "bad");
  failed.status = FunctionStatus::kFailed;
  table_.apply(failed);
  failed.secret_values["KEY"] = "good";
  table_.apply(failed);
  pass(milliseconds(200));
  worker(0).ready();
  settle();
  EXPECT_EQ(secret_of(0), "good");
  EXPECT_EQ(store_.last(), "running id-motion 1");
  EXPECT_EQ(admit(entry()), nullptr);
}

}  // namespace
}  // namespace sterna::invoke
