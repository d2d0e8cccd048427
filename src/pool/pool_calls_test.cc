// How calls find workers, go ahead, come back, and end.
#include "pool/testing/pool_fixture.h"

namespace sterna::pool {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using wire::Claim;
using wire::FrameType;
using wire::More;

TEST_F(PoolTest, FirstCallStartsAWorkerAndIsSentWhileItStarts) {
  TestCall& call = submit();
  ASSERT_EQ(launcher_.started(), 1U);
  const auto frames = worker(0).receive();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].type, FrameType::kInit);
  EXPECT_EQ(frames[1].type, FrameType::kRequest);
  EXPECT_EQ(frames[1].payload, call.call.request);
  EXPECT_EQ(worker(0).claim(frames[1].slot), Claim::kQueued);

  clock_.advance(milliseconds(30));
  worker(0).ready();
  settle();
  EXPECT_EQ(record_.loaded, 1);
  EXPECT_TRUE(worker(0).begin(frames[1]));
  worker(0).respond(frames[1], "hello", milliseconds(2));
  settle();
  EXPECT_TRUE(call.ended);
  EXPECT_EQ(call.body, "hello");
  EXPECT_TRUE(call.call.cold);
  EXPECT_EQ(call.call.queued, milliseconds(30));
  EXPECT_EQ(call.call.run, milliseconds(2));
  EXPECT_EQ(call.call.instance, worker(0).instance());
  EXPECT_FALSE(call.call.pending());
  EXPECT_EQ(worker(0).claim(frames[1].slot), Claim::kFree);
}

TEST_F(PoolTest, WarmCallIsNotCold) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  one.respond(request(one), "again", microseconds(100));
  settle();
  EXPECT_EQ(call.body, "again");
  EXPECT_FALSE(call.call.cold);
  EXPECT_EQ(launcher_.started(), 1U);
}

TEST_F(PoolTest, ShortRunsAreSentAheadAndTakenBackFromALongOne) {
  FakeWorker& one = warm();
  const TestCall& running = submit();
  const OwnedFrame first = request(one);
  const TestCall& behind = submit();
  const OwnedFrame second = request(one);
  ASSERT_TRUE(one.begin(first));

  pass(milliseconds(4));
  EXPECT_EQ(one.claim(second.slot), Claim::kQueued);
  pass(milliseconds(2));
  EXPECT_EQ(one.claim(second.slot), Claim::kRecalled);
  EXPECT_EQ(one.claim(first.slot), Claim::kStarted);
  EXPECT_FALSE(one.begin(second));
  EXPECT_EQ(pool().counters().taken_back, 1U);
  EXPECT_EQ(launcher_.started(), 1U);

  pass(milliseconds(5));  // now it has waited long enough for a worker of its own
  ASSERT_EQ(launcher_.started(), 2U);
  FakeWorker& two = worker(1);
  two.ready();
  two.respond(request(two), "two", microseconds(100));
  settle();
  EXPECT_EQ(behind.body, "two");
  EXPECT_FALSE(running.ended);
}

TEST_F(PoolTest, NothingGoesAheadOfARunThatTakesLongAlready) {
  FakeWorker& one = warm();
  submit();
  one.begin(request(one));
  clock_.advance(milliseconds(5));
  settle();
  submit();
  EXPECT_TRUE(one.receive(FrameType::kRequest).empty());
  EXPECT_EQ(pool().waiting(), 1U);
}

// A worker that is about to run the next call may hold the answers of the ones before it back.
TEST_F(PoolTest, AnswersHeldBackBehindALongRunAreCalledFor) {
  FakeWorker& one = warm();
  const TestCall& quick = submit();
  const OwnedFrame over = request(one);
  submit();
  const OwnedFrame slow = request(one);
  one.begin(over);
  one.begin(slow);
  pass(milliseconds(4));
  EXPECT_EQ(one.bell(), 0U);
  pass(milliseconds(1));
  EXPECT_EQ(one.bell(), 1U);
  one.respond(over, "quick", microseconds(1));
  settle();
  EXPECT_EQ(quick.body, "quick");
  pass(milliseconds(10));
  EXPECT_EQ(one.bell(), 1U);
}

TEST_F(PoolTest, ColdCallsThatComeTogetherGetWorkersOfTheirOwn) {
  const TestCall& first = submit();
  const TestCall& second = submit();
  pass(milliseconds(9));
  EXPECT_EQ(launcher_.started(), 1U);
  pass(milliseconds(1));
  ASSERT_EQ(launcher_.started(), 2U);
  pass(milliseconds(10));
  EXPECT_EQ(launcher_.started(), 2U);  // each has its own now
  worker(1).ready();
  worker(1).respond(request(worker(1)), "two", seconds(1));
  settle();
  EXPECT_EQ(second.body, "two");
  EXPECT_FALSE(first.ended);
}

TEST_F(PoolTest, FreeWorkerTakesACallThatWaitsForOneWhichStarts) {
  FakeWorker& one = warm();
  submit();
  const OwnedFrame slow = request(one);
  one.begin(slow);
  pass(milliseconds(6));
  const TestCall& waits = submit();
  pass(milliseconds(10));
  ASSERT_EQ(launcher_.started(), 2U);
  const OwnedFrame sent = request(worker(1));
  one.respond(slow, "", milliseconds(16));
  settle();
  EXPECT_EQ(worker(1).claim(sent.slot), Claim::kRecalled);
  one.respond(request(one), "one", microseconds(100));
  settle();
  EXPECT_EQ(waits.body, "one");
  EXPECT_FALSE(waits.call.cold);
}

TEST_F(PoolTest, SlotOfATakenBackCallIsFreeOnlyAfterRecalled) {
  config_.max_replicas = 1;
  FakeWorker& one = warm();
  submit();
  const OwnedFrame first = request(one);
  submit();
  const OwnedFrame recalled = request(one);
  ASSERT_TRUE(one.begin(first));
  pass(milliseconds(6));
  ASSERT_EQ(one.claim(recalled.slot), Claim::kRecalled);

  one.respond(first, "", microseconds(100));
  settle();
  const OwnedFrame again = request(one);  // the call that came back
  EXPECT_NE(again.slot, recalled.slot);
  submit();
  const OwnedFrame ahead = request(one);
  EXPECT_NE(ahead.slot, recalled.slot);
  EXPECT_NE(ahead.slot, again.slot);

  one.send(FrameType::kRecalled, More::kNo, recalled.slot, recalled.call, {});
  settle();
  EXPECT_EQ(one.claim(recalled.slot), Claim::kFree);
  submit();
  EXPECT_EQ(request(one).slot, recalled.slot);
}

TEST_F(PoolTest, CancelOfACallThatHasNotBegunNeedsNoWorker) {
  FakeWorker& one = warm();
  submit();
  const OwnedFrame first = request(one);
  one.begin(first);
  TestCall& ahead = submit();
  const OwnedFrame second = request(one);
  ahead.call.cancel();
  settle();
  EXPECT_FALSE(ahead.call.pending());
  EXPECT_EQ(one.claim(second.slot), Claim::kRecalled);
  EXPECT_TRUE(one.receive(FrameType::kCancel).empty());
  pass(seconds(1));
  EXPECT_FALSE(one.killed());
}

TEST_F(PoolTest, CancelOfARunAsksFirstAndKillsAfterTheGrace) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  call.call.cancel();
  settle();
  const auto cancels = one.receive(FrameType::kCancel);
  ASSERT_EQ(cancels.size(), 1U);
  EXPECT_EQ(cancels[0].call, run.call);
  pass(milliseconds(99));
  EXPECT_FALSE(one.killed());
  pass(milliseconds(2));
  EXPECT_TRUE(one.killed());
  EXPECT_FALSE(call.ended);  // who cancels hears no more
  one.exit(exit_signal(9));
  EXPECT_EQ(pool().counters().crashes, 0U);
}

TEST_F(PoolTest, CancelledRunThatEndsFreesItsWorker) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  call.call.cancel();
  settle();
  const TestCall& next = submit();
  EXPECT_EQ(pool().waiting(), 1U);
  one.fail(run, wire::FailKind::kCancelled, "");
  settle();  // no tick is needed
  one.respond(request(one), "next", microseconds(100));
  settle();
  EXPECT_EQ(next.body, "next");
  EXPECT_EQ(pool().running(), 0U);
  EXPECT_EQ(one.claim(run.slot), Claim::kFree);
  pass(seconds(1));
  EXPECT_FALSE(one.killed());
}

TEST_F(PoolTest, RunOverItsTimeEndsWithItsWorker) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  one.begin(request(one));
  pass(config_.timeout - milliseconds(1));
  EXPECT_FALSE(call.ended);
  pass(milliseconds(1));
  EXPECT_EQ(call.failure, Failure::kTimeout);
  EXPECT_EQ(call.call.run, config_.timeout);
  EXPECT_TRUE(one.killed());
  one.exit(exit_signal(9));
  EXPECT_EQ(pool().counters().crashes, 0U);
  EXPECT_TRUE(pool().empty());
}

TEST_F(PoolTest, FullLineRefuses) {
  context_.limits.queue_length = 2;
  const TestCall& sent = submit();
  const TestCall& second = submit();
  const TestCall& third = submit();
  const TestCall& fourth = submit();
  EXPECT_EQ(fourth.failure, Failure::kLoading);
  EXPECT_FALSE(sent.ended || second.ended || third.ended);
  EXPECT_EQ(pool().waiting(), 2U);
}

TEST_F(PoolTest, WaitIsBounded) {
  config_.max_replicas = 1;
  FakeWorker& one = warm();
  submit();
  one.begin(request(one));
  const TestCall& waits = submit();
  pass(config_.queue_wait - milliseconds(1));
  EXPECT_FALSE(waits.ended);
  pass(milliseconds(1));
  EXPECT_EQ(waits.failure, Failure::kNoCapacity);
  EXPECT_EQ(waits.call.queued, config_.queue_wait);  // its time in line is not lost
  EXPECT_EQ(waits.call.run, Duration::zero());
}

TEST_F(PoolTest, WaitForAWorkerThatStartsIsBounded) {
  const TestCall& call = submit();
  pass(config_.queue_wait);
  EXPECT_EQ(call.failure, Failure::kLoading);
  EXPECT_EQ(call.call.queued, config_.queue_wait);
  EXPECT_FALSE(call.call.cold);
  EXPECT_FALSE(worker(0).killed());
}

// One that the worker took ahead of the answer before it, which was lost with it.
TEST_F(PoolTest, ACallThatTheServerDidNotSeeBeginHasNotRunForEver) {
  config_.max_replicas = 1;
  FakeWorker& one = warm();
  submit();
  const TestCall& ahead = submit();
  const auto requests = one.receive(FrameType::kRequest);
  ASSERT_EQ(requests.size(), 2U);
  for (const OwnedFrame& frame : requests) EXPECT_TRUE(one.begin(frame));
  clock_.advance(milliseconds(3));
  settle();
  one.exit(exit_signal(11));
  EXPECT_EQ(ahead.failure, Failure::kWorkerDied);
  EXPECT_EQ(ahead.call.run, milliseconds(3));
}

TEST_F(PoolTest, AsyncWorkersRunManyCallsAtATime) {
  FakeWorker& one = warm(true);
  EXPECT_EQ(pool().concurrency(), kAsyncConcurrency);
  for (int i = 0; i < 20; ++i) submit();
  const auto requests = one.receive(FrameType::kRequest);
  ASSERT_EQ(requests.size(), 20U);
  for (const OwnedFrame& frame : requests) EXPECT_TRUE(one.begin(frame));
  pass(milliseconds(50));  // a long run hinders nobody: nothing is taken back
  EXPECT_EQ(pool().counters().taken_back, 0U);
  one.respond(requests[7], "seven", milliseconds(50));
  settle();
  EXPECT_EQ(calls_[8].body, "seven");
}

TEST_F(PoolTest, CallsThatWaitInAnAsyncWorkerAreTakenBack) {
  config_.concurrency = 2;
  FakeWorker& one = warm(true);
  for (int i = 0; i < 4; ++i) submit();  // the last two are sent ahead
  const auto requests = one.receive(FrameType::kRequest);
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_TRUE(one.begin(requests[0]));
  EXPECT_TRUE(one.begin(requests[1]));
  pass(milliseconds(9));
  EXPECT_EQ(one.claim(requests[2].slot), Claim::kQueued);
  EXPECT_EQ(one.bell(), 0U);

  pass(milliseconds(5));
  EXPECT_FALSE(one.begin(requests[2]));
  EXPECT_FALSE(one.begin(requests[3]));
  EXPECT_EQ(one.claim(requests[0].slot), Claim::kStarted);
  EXPECT_EQ(pool().counters().taken_back, 2U);
  EXPECT_GE(one.bell(), 1U);
  ASSERT_EQ(launcher_.started(), 2U);
  FakeWorker& two = worker(1);
  two.ready(true);
  const auto again = two.receive(FrameType::kRequest);
  ASSERT_EQ(again.size(), 2U);
  two.respond(again[0], "two", microseconds(100));
  settle();
  EXPECT_EQ(calls_[3].body, "two");
}

TEST_F(PoolTest, WhereNoCoreIsFreeAnAsyncWorkersCallsWaitLonger) {
  context_.limits.cores = 1;  // so long nothing is known to be free
  config_.concurrency = 2;
  FakeWorker& one = warm(true);
  for (int i = 0; i < 4; ++i) submit();
  const auto requests = one.receive(FrameType::kRequest);
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_TRUE(one.begin(requests[0]));
  EXPECT_TRUE(one.begin(requests[1]));
  pass(milliseconds(40));
  EXPECT_EQ(one.claim(requests[2].slot), Claim::kQueued);
  EXPECT_EQ(launcher_.started(), 1U);

  pass(kCrowdedPatience - milliseconds(40));
  EXPECT_FALSE(one.begin(requests[2]));
  EXPECT_EQ(launcher_.started(), 2U);
}

TEST_F(PoolTest, EachCancelledCallHasTheGraceForItself) {
  FakeWorker& one = warm(true);
  std::optional<OwnedFrame> before;
  const auto cancel_one = [&] {
    TestCall& call = submit();
    const OwnedFrame run = request(one);
    one.begin(run);
    call.call.cancel();
    pass(milliseconds(400));
    return run;
  };
  for (int i = 0; i < 5; ++i) {  // one of them is always under way, and each ends in time
    const OwnedFrame run = cancel_one();
    if (before) one.fail(*before, wire::FailKind::kCancelled, "");
    before = run;
    settle();
  }
  EXPECT_FALSE(one.killed());
  EXPECT_TRUE(one.receive(FrameType::kShutdown).empty());
  pass(milliseconds(600));  // the last one does not end
  EXPECT_TRUE(one.killed());
}

TEST_F(PoolTest, AsyncRunOverItsTimeLeavesTheOthersTheirs) {
  FakeWorker& one = warm(true);
  const TestCall& hangs = submit();
  const OwnedFrame stuck = request(one);
  one.begin(stuck);
  pass(config_.timeout - seconds(1));
  const TestCall& other = submit();
  const OwnedFrame fine = request(one);
  one.begin(fine);
  pass(seconds(1));
  EXPECT_EQ(hangs.failure, Failure::kTimeout);
  EXPECT_FALSE(one.killed());
  EXPECT_EQ(one.receive(FrameType::kCancel).size(), 1U);

  pass(seconds(2));  // it does not end: the worker leaves after its other calls
  EXPECT_FALSE(one.killed());
  EXPECT_EQ(one.receive(FrameType::kShutdown).size(), 1U);
  one.respond(fine, "fine", seconds(3));
  settle();
  EXPECT_EQ(other.body, "fine");
  pass(milliseconds(5));
  EXPECT_TRUE(one.killed());
}

}  // namespace
}  // namespace sterna::pool
