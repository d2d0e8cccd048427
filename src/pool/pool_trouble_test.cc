// Workers that cannot be started for no fault of their function's, and workers that hang.
#include "pool/testing/pool_fixture.h"

namespace sterna::pool {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using std::chrono::milliseconds;
using std::chrono::seconds;

class PoolTroubleTest : public PoolTest {
 protected:
  static WorkerExit not_started() {
    WorkerExit exit;
    exit.error = "fork: Resource temporarily unavailable";
    return exit;
  }
  FakeWorker& newest() { return worker(launcher_.started() - 1); }
  // Every start fails for that long.
  void fail_starts(Duration time) {
    const MonotonicTime end = clock_.now() + time;
    while (clock_.now() < end) {
      if (!newest().exited()) newest().exit(not_started());
      pass(milliseconds(500));
    }
  }
  // The next one that is started.
  FakeWorker& next() {
    for (int i = 0; i < 100 && newest().exited(); ++i) pass(milliseconds(500));
    EXPECT_FALSE(newest().exited());
    return newest();
  }
};

TEST_F(PoolTroubleTest, FailedStartsAreTriedAgainWhileTheCallWaits) {
  config_.queue_wait = seconds(30);
  config_.proven = false;
  const TestCall& call = submit();
  fail_starts(seconds(20));
  EXPECT_GT(launcher_.started(), 10U);
  EXPECT_TRUE(context_.start_trouble);
  EXPECT_TRUE(record_.broken.empty());  // though the handler has never been loaded
  EXPECT_EQ(std::ranges::count_if(record_.lines, [](const auto& line) { return line.stream == "platform"; }),
            1);
  FakeWorker& started = next();
  started.ready();
  started.respond(request(started), "done", microseconds(1));
  settle();
  EXPECT_EQ(call.body, "done");
  EXPECT_FALSE(context_.start_trouble);
  EXPECT_EQ(pool().counters().crashes, 0U);
}

TEST_F(PoolTroubleTest, CallsThatWaitedInVainAreToldThatItIsNotTheFunction) {
  const TestCall& call = submit();
  fail_starts(config_.queue_wait + seconds(1));
  EXPECT_EQ(call.failure, Failure::kCannotStart);
}

TEST_F(PoolTroubleTest, TroubleThatDoesNotEndIsTheFunctionsStatusUntilAWorkerLoads) {
  config_.proven = false;
  submit();
  fail_starts(seconds(70));
  ASSERT_FALSE(record_.broken.empty());
  EXPECT_NE(record_.broken.front().find("Resource temporarily unavailable"), std::string::npos);
  next().ready();
  settle();
  EXPECT_EQ(record_.loaded, 1);
  EXPECT_FALSE(pool().broken());
}

TEST_F(PoolTroubleTest, WorkerThatDoesNotTakeItsCallIsReplaced) {
  config_.timeout = seconds(30);
  FakeWorker& hung = warm();
  const TestCall& call = submit();
  pass(milliseconds(4900));
  EXPECT_FALSE(hung.killed());
  pass(milliseconds(200));
  EXPECT_TRUE(hung.killed());
  EXPECT_TRUE(record_.logged("did not take its call"));
  ASSERT_EQ(launcher_.started(), 2U);
  worker(1).ready();
  worker(1).respond(request(worker(1)), "from another", microseconds(1));
  settle();
  EXPECT_EQ(call.body, "from another");
  hung.exit(exit_signal(9));
  settle();
  EXPECT_EQ(pool().counters().crashes, 0U);
}

TEST_F(PoolTroubleTest, ShortTimeoutsAreNotWaitedForInWhole) {
  config_.timeout = seconds(4);
  FakeWorker& hung = warm();
  const TestCall& call = submit();
  pass(milliseconds(2100));
  EXPECT_TRUE(hung.killed());
  EXPECT_FALSE(call.ended);
}

TEST_F(PoolTroubleTest, TimeCountsFromWhenItCouldTakeTheCall) {
  const TestCall& call = submit();
  pass(seconds(9));  // loading takes its time
  worker(0).ready();
  settle();
  pass(milliseconds(1));
  EXPECT_FALSE(worker(0).killed());
  worker(0).respond(request(worker(0)), "done", microseconds(1));
  settle();
  EXPECT_EQ(call.body, "done");
}

TEST_F(PoolTroubleTest, WorkerThatRunsACallDoesNotHang) {
  config_.timeout = seconds(30);
  FakeWorker& busy = warm();
  const TestCall& call = submit();
  busy.begin(request(busy));
  pass(seconds(20));
  EXPECT_FALSE(busy.killed());
  EXPECT_FALSE(call.ended);
}

}  // namespace
}  // namespace sterna::pool
