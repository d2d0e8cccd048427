// A canary beside the active version.
#include "invoke/function_table.h"
#include "invoke/testing/table_fixture.h"

namespace sterna::invoke {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using pool::testing::exit_code;
using registry::VersionState;

class TrafficTest : public TableTest {
 protected:
  // Version 1 is active, version 2 gets `percent` of the calls.
  static registry::Function shared(int percent) {
    registry::Function made = function(2, VersionState::kCanary, 1);
    made.canary = version(2, VersionState::kCanary);
    made.canary->traffic_percent = percent;
    return made;
  }
  // Version 1 serves, version 2 has just been loaded by worker 1.
  void start(int percent) {
    table_.apply(running(1));
    invoke();
    worker(0).ready();
    settle();
    answer(0, "one");
    table_.apply(function(2, VersionState::kPending, 1));
    worker(1).ready();
    settle();
    EXPECT_EQ(store_.last(), "activate id-motion 2 sync fake 1.0");
    table_.apply(shared(percent));
    ASSERT_TRUE(entry().canary);
  }
  // How many of a thousand calls each of the two workers is given.
  std::pair<int, int> shares() {
    std::pair<int, int> counts;
    for (int i = 0; i < 1000; ++i) {
      TestRun& run = invoke();
      answer(0, "one");
      answer(1, "two");
      (run.body == "one" ? counts.first : counts.second) += 1;
      EXPECT_EQ(run.invocation.version(), run.body == "one" ? 1U : 2U);
      runs_.pop_back();
    }
    return counts;
  }
};

TEST_F(TrafficTest, ASecretThatWasSetBeforeItsActivationReachesTheCanary) {
  table_.apply(running(1));
  registry::Function next = function(2, VersionState::kPending, 1);
  table_.apply(next);
  worker(0).ready();
  settle();
  next.secret_values["KEY"] = "new";
  table_.apply(next);
  EXPECT_FALSE(worker(0).killed());
  registry::Function canary = shared(50);
  canary.secret_values = next.secret_values;
  table_.apply(canary);
  ASSERT_TRUE(entry().canary);
  EXPECT_EQ(entry().canary->config().secrets.at("KEY"), "new");
  EXPECT_FALSE(entry().candidate);
  EXPECT_TRUE(worker(0).killed());
}

TEST_F(TrafficTest, CallsAreSharedOut) {
  start(20);
  EXPECT_EQ(launcher_.started(), 2U);  // the worker that loaded the canary serves it
  const auto [one, two] = shares();
  EXPECT_EQ(one + two, 1000);
  EXPECT_NEAR(two, 200, 76);  // six standard deviations

  table_.apply(shared(80));
  EXPECT_NEAR(shares().second, 800, 76);
}

TEST_F(TrafficTest, CanaryBeginsWithTheSecretsOfNow) {
  const auto with = [](registry::Function made, const std::string& secret) {
    made.secret_values["KEY"] = secret;
    return made;
  };
  table_.apply(with(running(1), "old"));
  table_.apply(with(function(2, VersionState::kPending, 1), "old"));
  worker(0).ready();
  settle();
  EXPECT_EQ(store_.last(), "activate id-motion 2 sync fake 1.0");
  table_.apply(with(shared(100), "new"));
  ASSERT_TRUE(entry().canary);
  EXPECT_EQ(entry().canary->config().secrets.at("KEY"), "new");
}

TEST_F(TrafficTest, CanaryThatGetsAllTakesOverWithItsWorkers) {
  start(50);
  table_.apply(running(2));
  settle();
  EXPECT_FALSE(entry().canary);
  EXPECT_TRUE(told_to_leave(0));
  const TestRun& run = invoke();
  answer(1, "two");
  EXPECT_EQ(run.body, "two");
  EXPECT_EQ(launcher_.started(), 2U);
}

TEST_F(TrafficTest, CanaryThatEndsFinishesItsCalls) {
  start(100);  // so that it is known who gets the call
  const TestRun& run = invoke();
  const auto request = worker(1).receive(wire::FrameType::kRequest).at(0);
  worker(1).begin(request);
  registry::Function ended = function(2, VersionState::kRetired, 1);
  table_.apply(ended);
  settle();
  EXPECT_FALSE(entry().canary);
  EXPECT_TRUE(told_to_leave(1));
  worker(1).respond(request, "two", milliseconds(1));
  settle();
  EXPECT_EQ(run.body, "two");
}

TEST_F(TrafficTest, CallsThatWaitForAnEndedCanaryRunOnTheActiveOne) {
  start(100);
  invoke();
  worker(1).begin(worker(1).receive(wire::FrameType::kRequest).at(0));
  const TestRun& waits = invoke();  // no room for another worker
  table_.apply(function(2, VersionState::kRetired, 1));
  settle();
  answer(0, "one");
  EXPECT_EQ(waits.body, "one");
}

TEST_F(TrafficTest, CanaryThatKeepsCrashingIsReported) {
  start(100);
  worker(1).exit(exit_code(0));
  pass(milliseconds(200));
  for (std::size_t crash = 2; crash < 4; ++crash) {
    invoke();
    ASSERT_EQ(launcher_.started(), crash + 1);
    worker(crash).load_failed("ImportError", "");
    settle();
    worker(crash).exit(exit_code(1));
    if (crash < 3) runs_.pop_back();
    pass(milliseconds(200));
  }
  EXPECT_EQ(store_.last(), "fail canary id-motion 2 ImportError");
  EXPECT_EQ(entry().status, registry::FunctionStatus::kRunning);
  const TestRun& run = invoke();  // before the registry has answered
  answer(0, "one");
  EXPECT_EQ(run.body, "one");
}

TEST_F(TrafficTest, StopEndsBothAndAnotherServerStartsBoth) {
  start(50);
  table_.apply(stopped(2));
  EXPECT_FALSE(entry().active);
  EXPECT_FALSE(entry().canary);
  worker(0).exit(exit_code(0));
  worker(1).exit(exit_code(0));
  pass(seconds(1));
  table_.apply(shared(100));
  ASSERT_TRUE(entry().canary);
  const TestRun& run = invoke();
  ASSERT_EQ(launcher_.started(), 3U);
  worker(2).ready();
  settle();
  answer(2, "two");
  EXPECT_EQ(run.body, "two");
}

TEST_F(TrafficTest, CanaryTakesAChangedSecretWithItsNextWorkers) {
  registry::Function before = shared(100);
  before.secret_values["KEY"] = "old";
  table_.apply(before);
  invoke();
  worker(0).ready();
  settle();
  answer(0, "");
  registry::Function after = shared(100);
  after.secret_values["KEY"] = "new";
  table_.apply(after);
  settle();
  EXPECT_TRUE(told_to_leave(0));
  worker(0).exit(exit_code(0));
  invoke();
  EXPECT_EQ(worker(launcher_.started() - 1).config().secrets.at("KEY"), "new");
  EXPECT_EQ(worker(launcher_.started() - 1).config().version, 2U);
}

}  // namespace
}  // namespace sterna::invoke
