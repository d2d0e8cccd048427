// How workers die, fail to load, leave, and are replaced.
#include "pool/testing/pool_fixture.h"

namespace sterna::pool {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using wire::FrameType;

TEST_F(PoolTest, DeathFailsTheStartedCallAndGivesTheOtherToTheNextWorker) {
  FakeWorker& one = warm();
  const TestCall& started = submit();
  one.begin(request(one));
  const TestCall& ahead = submit();
  request(one);
  one.exit(exit_code(3));
  EXPECT_EQ(started.failure, Failure::kWorkerDied);
  EXPECT_NE(started.detail.find("exited with code 3"), std::string::npos);
  EXPECT_FALSE(ahead.ended);
  EXPECT_EQ(pool().counters().crashes, 1U);
  ASSERT_EQ(launcher_.started(), 2U);
  settle();
  worker(1).ready();
  worker(1).respond(request(worker(1)), "two", microseconds(1));
  settle();
  EXPECT_EQ(ahead.body, "two");
}

TEST_F(PoolTest, AnswerOfADeadWorkerStillCounts) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.respond(run, "last words", microseconds(1));
  one.exit(exit_code(0));
  EXPECT_EQ(call.body, "last words");
  EXPECT_FALSE(call.failure);
}

TEST_F(PoolTest, OutOfMemoryIsToldApart) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  one.begin(request(one));
  one.exit(exit_out_of_memory());
  EXPECT_EQ(call.failure, Failure::kOutOfMemory);
  EXPECT_EQ(pool().counters().out_of_memory, 1U);
}

TEST_F(PoolTest, CrashLoopBreaksThePoolUntilAWorkerLoads) {
  for (int crash = 1; crash <= 10; ++crash) {
    EXPECT_TRUE(record_.broken.empty()) << crash;
    pass(seconds(7));  // beyond the pause after the crash before
    const TestCall& call = submit();
    FakeWorker& one = worker(launcher_.started() - 1);
    const OwnedFrame run = request(one);
    one.ready();
    settle();
    one.begin(run);
    one.exit(exit_signal(11));
    EXPECT_EQ(call.failure, Failure::kWorkerDied);
  }
  ASSERT_EQ(record_.broken.size(), 1U);
  EXPECT_NE(record_.broken[0].find("signal 11"), std::string::npos);
  EXPECT_TRUE(pool().broken());
  EXPECT_EQ(submit().failure, Failure::kNotRunning);

  const std::size_t before = launcher_.started();
  pass(record_.retry_after - milliseconds(1));
  EXPECT_EQ(launcher_.started(), before);
  pass(milliseconds(1));
  ASSERT_EQ(launcher_.started(), before + 1);
  worker(before).ready();
  settle();
  EXPECT_FALSE(pool().broken());
  EXPECT_FALSE(submit().ended);
}

// A server that dies closes the connections of its calls first: they end as bad answers.
TEST_F(PoolTest, CallsThatEndWithoutAnAnswerDoNotInterruptACrashLoop) {
  for (int crash = 1; crash <= 10; ++crash) {
    EXPECT_TRUE(record_.broken.empty()) << crash;
    pass(seconds(7));
    const TestCall& call = submit();
    FakeWorker& one = worker(launcher_.started() - 1);
    const OwnedFrame run = request(one);
    one.ready();
    one.begin(run);
    one.fail(run, wire::FailKind::kBadResponse, "closed");
    settle();
    EXPECT_EQ(call.failure, Failure::kBadResponse);
    one.exit(exit_code(3));
  }
  ASSERT_EQ(record_.broken.size(), 1U);
  EXPECT_EQ(record_.broken[0], "the worker exited with code 3");
}

TEST_F(PoolTest, AnExceptionIsAnAnswerToo) {
  for (int crash = 1; crash <= 12; ++crash) {
    pass(seconds(7));
    submit();
    FakeWorker& one = worker(launcher_.started() - 1);
    const OwnedFrame run = request(one);
    one.ready();
    one.begin(run);
    one.fail(run, wire::FailKind::kRaised, "no");
    settle();
    one.exit(exit_code(3));
  }
  EXPECT_TRUE(record_.broken.empty());
}

TEST_F(PoolTest, CrashesAreFollowedByGrowingPauses) {
  const auto crash = [this] {
    submit();
    worker(launcher_.started() - 1).exit(exit_signal(11));
  };
  config_.queue_wait = seconds(1000);
  crash();
  EXPECT_EQ(launcher_.started(), 2U);  // the first two are followed at once
  worker(1).exit(exit_signal(11));
  EXPECT_EQ(launcher_.started(), 3U);
  worker(2).exit(exit_signal(11));
  EXPECT_EQ(launcher_.started(), 3U);
  pass(milliseconds(99));
  EXPECT_EQ(launcher_.started(), 3U);
  pass(milliseconds(1));
  EXPECT_EQ(launcher_.started(), 4U);
}

TEST_F(PoolTest, WorkersAreOnTrialUntilOneHasLoaded) {
  config_.proven = false;
  pool().probe();
  settle();
  EXPECT_TRUE(worker(0).origin().on_trial);
  EXPECT_NE(worker(0).receive(FrameType::kInit).at(0).payload.find(R"("on_trial":true)"), std::string::npos);
  worker(0).ready();
  settle();
  worker(0).exit(exit_code(1));
  submit();
  ASSERT_EQ(launcher_.started(), 2U);
  EXPECT_FALSE(worker(1).origin().on_trial);
  EXPECT_EQ(worker(1).receive(FrameType::kInit).at(0).payload.find("on_trial"), std::string::npos);
}

TEST_F(PoolTest, NewVersionThatDoesNotLoadIsBrokenAtOnce) {
  config_.proven = false;
  pool().probe();
  settle();
  worker(0).load_failed("SyntaxError", "Traceback");
  settle();
  ASSERT_EQ(record_.broken, std::vector<std::string>{"SyntaxError"});
  EXPECT_TRUE(record_.logged("Traceback"));
  worker(0).exit(exit_code(1));
  EXPECT_EQ(pool().counters().crashes, 0U);  // told once
  EXPECT_EQ(record_.broken.size(), 1U);
}

TEST_F(PoolTest, WhoDoesNotLoadAndGoesOnIsStopped) {
  config_.proven = false;
  pool().probe();
  settle();
  worker(0).load_failed("SyntaxError", "");
  settle();
  pass(milliseconds(4900));
  EXPECT_FALSE(worker(0).killed());
  pass(milliseconds(200));
  EXPECT_TRUE(worker(0).killed());
  worker(0).exit(exit_signal(9));
  EXPECT_EQ(record_.broken.size(), 1U);
  pass(seconds(5));
  EXPECT_EQ(launcher_.started(), 2U);  // it is tried again
}

// The call is in the worker's hands when the pool breaks; it must not wait out its time in the line.
TEST_F(PoolTest, CallOfAWorkerThatDoesNotLoadHearsThatTheFunctionDoesNotRun) {
  const TestCall& call = submit();
  for (std::size_t attempt = 0; attempt < 3; ++attempt) {
    ASSERT_EQ(launcher_.started(), attempt + 1);
    settle();
    EXPECT_FALSE(call.ended);
    worker(attempt).load_failed("ImportError", "");
    settle();
    worker(attempt).exit(exit_code(1));
  }
  EXPECT_TRUE(pool().broken());
  EXPECT_EQ(call.failure, Failure::kNotRunning);
  EXPECT_EQ(pool().waiting(), 0U);
}

TEST_F(PoolTest, HandlerThatNeverLoadsIsStopped) {
  config_.proven = false;
  pool().probe();
  pass(seconds(29));
  EXPECT_FALSE(worker(0).killed());
  pass(seconds(1));
  EXPECT_TRUE(worker(0).killed());
  EXPECT_EQ(record_.broken.size(), 1U);
}

TEST_F(PoolTest, CloseMovesWhatHasNotBegunToTheHeir) {
  FakeWorker& one = warm();
  const TestCall& runs = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  const TestCall& ahead = submit();
  FunctionPool heir(context_, config_);
  pool().close(&heir, FunctionPool::Leave::kAfterCalls);
  settle();
  EXPECT_EQ(one.receive(FrameType::kShutdown).size(), 1U);
  ASSERT_EQ(launcher_.started(), 2U);
  worker(1).ready();
  worker(1).respond(request(worker(1)), "heir", microseconds(1));
  one.respond(run, "old", microseconds(1));
  settle();
  EXPECT_EQ(runs.body, "old");
  EXPECT_EQ(ahead.body, "heir");
  one.exit(exit_code(0));
  EXPECT_TRUE(pool().empty());
  EXPECT_EQ(pool().counters().crashes, 0U);
  EXPECT_EQ(submit().failure, Failure::kNotRunning);
  heir.close(nullptr, FunctionPool::Leave::kNow);
  worker(1).exit(exit_signal(9));
  EXPECT_TRUE(heir.empty());
  EXPECT_EQ(context_.workers_total, 0U);
  settle();
}

TEST_F(PoolTest, CloseNowFailsAllCalls) {
  FakeWorker& one = warm();
  const TestCall& runs = submit();
  one.begin(request(one));
  const TestCall& ahead = submit();
  pool().close(nullptr, FunctionPool::Leave::kNow);
  EXPECT_EQ(runs.failure, Failure::kStopped);
  EXPECT_EQ(ahead.failure, Failure::kNotRunning);  // was taken back
  EXPECT_TRUE(one.killed());
}

TEST_F(PoolTest, WorkerThatDoesNotLeaveIsKilled) {
  FakeWorker& one = warm();
  pool().close(nullptr, FunctionPool::Leave::kAfterCalls);
  pass(milliseconds(4999));
  EXPECT_FALSE(one.killed());
  pass(milliseconds(1));
  EXPECT_TRUE(one.killed());
}

TEST_F(PoolTest, WorkerThatEndsIsNotKilledBeforeItsExitIsKnown) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  one.begin(request(one));
  settle();
  one.hang_up();
  settle();
  EXPECT_FALSE(one.killed());
  EXPECT_FALSE(call.ended);
  one.exit(exit_code(4));
  settle();
  EXPECT_EQ(call.failure, Failure::kWorkerDied);
  EXPECT_TRUE(record_.logged("the worker exited with code 4"));
}

TEST_F(PoolTest, WorkerThatClosesItsSocketAndRunsOnIsKilled) {
  FakeWorker& one = warm();
  one.hang_up();
  settle();
  pass(milliseconds(900));
  EXPECT_FALSE(one.killed());
  pass(milliseconds(200));
  EXPECT_TRUE(one.killed());
}

TEST_F(PoolTest, IdleWorkersLeaveButForTheMinimum) {
  config_.min_replicas = 1;
  FakeWorker& one = warm();
  const TestCall& slow = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  submit();
  pass(milliseconds(11));
  ASSERT_EQ(launcher_.started(), 2U);
  FakeWorker& two = worker(1);
  two.ready();
  two.respond(request(two), "", microseconds(1));
  one.respond(run, "", milliseconds(11));
  settle();
  EXPECT_TRUE(slow.ended);
  EXPECT_EQ(pool().ready_replicas(), 2U);
  pass(config_.idle - milliseconds(1));
  EXPECT_EQ(pool().replicas(), 2U);
  pass(milliseconds(1));
  EXPECT_EQ(pool().replicas(), 1U);
  pass(config_.idle);
  EXPECT_EQ(pool().replicas(), 1U);
  EXPECT_EQ(one.receive(FrameType::kShutdown).size() + two.receive(FrameType::kShutdown).size(), 1U);
}

TEST_F(PoolTest, MinimumIsStartedWithoutCalls) {
  config_.min_replicas = 2;
  pass(milliseconds(100));
  EXPECT_EQ(launcher_.started(), 2U);
}

TEST_F(PoolTest, RefusedVersionStartsNoWorkerAndSaysWhyOnce) {
  config_.proven = false;
  config_.refusal = "not on this server";
  pass(milliseconds(100));
  EXPECT_EQ(record_.broken, (std::vector<std::string>{"not on this server"}));
  EXPECT_EQ(submit().failure, Failure::kNotRunning);
  for (int i = 0; i < 5; ++i) pass(seconds(60));
  EXPECT_EQ(record_.broken.size(), 1U);
  EXPECT_EQ(launcher_.started(), 0U);
}

TEST_F(PoolTest, ServerWideLimitAsksForAnIdleWorker) {
  context_.limits.max_workers_total = 1;
  int asked = 0;
  context_.evict_idle = [&asked](std::string_view) { return ++asked > 1; };
  context_.workers_total = 1;  // of another function
  const TestCall& call = submit();
  EXPECT_EQ(launcher_.started(), 0U);
  pass(milliseconds(5));
  EXPECT_EQ(launcher_.started(), 1U);
  EXPECT_FALSE(call.ended);
}

TEST_F(PoolTest, NoWorkerIsStartedBeyondTheSpacesShare) {
  config_.share = std::make_shared<SpaceShare>();
  config_.share->max_replicas = 2;
  config_.share->used.add(config_.memory_bytes);  // of another function
  submit();
  settle();
  EXPECT_EQ(launcher_.started(), 1U);
  EXPECT_EQ(config_.share->used.replicas, 2U);
  worker(0).ready();
  settle();
  worker(0).begin(worker(0).receive(FrameType::kRequest).front());
  const TestCall& waiting = submit();
  pass(config_.queue_wait - milliseconds(10));
  EXPECT_EQ(launcher_.started(), 1U);
  EXPECT_FALSE(waiting.ended);
  pass(milliseconds(20));
  EXPECT_EQ(waiting.failure, Failure::kSpaceFull);
  const TestCall& next = submit();
  config_.share->used.remove(config_.memory_bytes);  // the other one has gone
  pass(milliseconds(10));
  EXPECT_EQ(launcher_.started(), 2U);
  EXPECT_FALSE(next.ended);
}

TEST_F(PoolTest, WhereTheFunctionMayHaveNoMoreWorkersTheQuotaIsNotToBlame) {
  config_.share = std::make_shared<SpaceShare>();
  config_.share->max_replicas = 1;
  config_.max_replicas = 1;
  submit();
  worker(0).ready();
  settle();
  worker(0).begin(request(worker(0)));
  const TestCall& waiting = submit();
  pass(config_.queue_wait);
  EXPECT_EQ(waiting.failure, Failure::kNoCapacity);
}

TEST_F(PoolTest, WhereTheServerRunsAsManyWorkersAsItMayThatIsTheReason) {
  context_.limits.max_workers_total = 1;
  FakeWorker& one = warm();
  submit();
  one.begin(request(one));
  const TestCall& waiting = submit();
  pass(config_.queue_wait);
  EXPECT_EQ(waiting.failure, Failure::kServerFull);
}

TEST_F(PoolTest, WhereWorkersEndWhileTheyStartThatIsTheReason) {
  const TestCall& waiting = submit();
  for (Duration passed{}; passed < config_.queue_wait; passed += milliseconds(500)) {
    FakeWorker& newest = worker(launcher_.started() - 1);
    if (!newest.exited()) newest.exit(exit_code(3));
    pass(milliseconds(500));
  }
  EXPECT_EQ(waiting.failure, Failure::kEndsAtStart);
}

TEST_F(PoolTest, MemoryCountsAndWhatEndsGivesItBack) {
  config_.share = std::make_shared<SpaceShare>();
  config_.share->max_memory_bytes = config_.memory_bytes * 2 - 1;
  config_.min_replicas = 2;
  pass(milliseconds(100));
  EXPECT_EQ(launcher_.started(), 1U);
  EXPECT_EQ(config_.share->used.memory_bytes, config_.memory_bytes);
  worker(0).ready();
  settle();
  pool().close(nullptr, FunctionPool::Leave::kNow);
  launcher_.exit_all();
  settle();
  EXPECT_EQ(config_.share->used.replicas, 0U);
  EXPECT_EQ(config_.share->used.memory_bytes, 0U);
}

TEST_F(PoolTest, AnIdleWorkerOfTheSpaceMakesRoom) {
  config_.share = std::make_shared<SpaceShare>();
  config_.share->max_replicas = 1;
  config_.share->used.add(config_.memory_bytes);
  std::vector<std::string> asked;
  context_.evict_idle = [&asked](std::string_view space) { return asked.emplace_back(space), true; };
  submit();
  EXPECT_EQ(launcher_.started(), 0U) << "the other one has to be gone first";
  EXPECT_EQ(asked, std::vector<std::string>{config_.space});
  config_.share->leaving.add(config_.memory_bytes);
  pass(milliseconds(10));
  EXPECT_EQ(asked.size(), 1U) << "one that leaves is enough";
  config_.share->leaving.remove(config_.memory_bytes);
  config_.share->used.remove(config_.memory_bytes);
  pass(milliseconds(10));
  EXPECT_EQ(launcher_.started(), 1U);
}

TEST_F(PoolTest, IdleWorkersLeaveAtOnceWhileTheSpaceHasTooMany) {
  config_.share = std::make_shared<SpaceShare>();
  FakeWorker& one = warm();
  pass(milliseconds(100));
  EXPECT_TRUE(one.receive(FrameType::kShutdown).empty());
  config_.share->max_memory_bytes = config_.memory_bytes - 1;  // the quota has become smaller
  pass(milliseconds(100));
  EXPECT_EQ(one.receive(FrameType::kShutdown).size(), 1U);
  EXPECT_EQ(config_.share->leaving.replicas, 1U);
  one.exit(exit_code(0));
  settle();
  EXPECT_EQ(config_.share->leaving.replicas, 0U);
  EXPECT_EQ(config_.share->used.replicas, 0U);
}

TEST_F(PoolTest, TheMinimumLeavesTooWhenTheQuotaHasBecomeSmaller) {
  config_.share = std::make_shared<SpaceShare>();
  config_.min_replicas = 3;
  pass(milliseconds(100));
  ASSERT_EQ(launcher_.started(), 3U);
  for (std::size_t i = 0; i < 3; ++i) worker(i).ready();
  settle();
  config_.share->max_replicas = 2;
  pass(milliseconds(100));
  pass(config_.idle * 2);
  EXPECT_EQ(pool().replicas(), 2U) << "no more than have to";
  EXPECT_EQ(config_.share->leaving.replicas, 1U);
  EXPECT_EQ(launcher_.started(), 3U);
}

TEST_F(PoolTest, ANewVersionIsTriedThoughTheShareIsUsedUp) {
  config_.share = std::make_shared<SpaceShare>();
  config_.share->max_replicas = 1;
  config_.share->used.add(config_.memory_bytes);
  config_.proven = false;
  pool().probe();
  settle();
  EXPECT_EQ(launcher_.started(), 1U);
  FunctionPool another(context_, config_);
  another.probe();
  settle();
  EXPECT_EQ(launcher_.started(), 1U) << "one at a time";
  EXPECT_FALSE(config_.share->is_over()) << "nobody has to leave for it";
  worker(0).ready();
  settle();
  EXPECT_TRUE(config_.share->is_over());
  another.tick(loop_.now());
  settle();
  EXPECT_EQ(launcher_.started(), 1U) << "one too many is enough";
  config_.share->used.remove(config_.memory_bytes);
  another.tick(loop_.now());
  settle();
  EXPECT_EQ(launcher_.started(), 2U);
  another.close(nullptr, FunctionPool::Leave::kNow);
  launcher_.exit_all();
  settle();
}

TEST_F(PoolTest, OneThatLeavesWithItsCallIsTheOnlyOneBeyondTheShare) {
  config_.share = std::make_shared<SpaceShare>();
  config_.share->max_replicas = 1;
  FakeWorker& old = warm();
  submit();
  old.begin(request(old));
  FunctionConfig next = config_;
  next.proven = false;
  FunctionPool second(context_, next);
  second.probe();
  settle();
  ASSERT_EQ(launcher_.started(), 2U);
  worker(1).ready();
  settle();
  pool().close(&second, FunctionPool::Leave::kAfterCalls);
  FunctionPool third(context_, next);
  third.probe();
  settle();
  EXPECT_EQ(launcher_.started(), 2U) << "the first one has its call yet";
  EXPECT_EQ(config_.share->used.replicas, 2U);
  old.exit(exit_code(0));
  settle();
  third.tick(loop_.now());
  settle();
  EXPECT_EQ(launcher_.started(), 3U);
  for (FunctionPool* pool : {&second, &third}) pool->close(nullptr, FunctionPool::Leave::kNow);
  launcher_.exit_all();
  settle();
}

TEST_F(PoolTest, ANewVersionIsTriedThoughTheServerRunsAsManyWorkersAsItMay) {
  context_.limits.max_workers_total = 1;
  FakeWorker& old = warm();
  submit();
  old.begin(request(old));
  FunctionConfig next = config_;
  next.proven = false;
  FunctionPool second(context_, next);
  second.probe();
  settle();
  EXPECT_EQ(launcher_.started(), 2U);
  FunctionPool third(context_, next);
  third.probe();
  settle();
  EXPECT_EQ(launcher_.started(), 2U) << "one too many is enough";
  for (FunctionPool* pool : {&second, &third}) pool->close(nullptr, FunctionPool::Leave::kNow);
  launcher_.exit_all();
  settle();
}

TEST(WorkerExit, TextSaysWhy) {
  EXPECT_EQ(exit_code(3).text(), "exited with code 3");
  EXPECT_NE(exit_signal(11).text().find("signal 11"), std::string::npos);
  EXPECT_NE(exit_out_of_memory().text().find("memory_mb"), std::string::npos);
  WorkerExit failed;
  failed.error = "no fork";
  EXPECT_EQ(failed.text(), "could not be started: no fork");
}

}  // namespace
}  // namespace sterna::pool
