// A worker that pauses becomes the parent of the others.
#include <nlohmann/json.hpp>

#include "pool/testing/pool_fixture.h"

namespace sterna::pool::testing {
namespace {

class ParentTest : public PoolTest {
 protected:
  // A paused worker 0, and worker 1 forked from it, which has answered a call.
  FakeWorker& paused() {
    const TestCall& call = submit();
    worker(0).paused();
    settle();
    worker(1).ready();
    worker(1).respond(request(worker(1)), "first", milliseconds(1));
    settle();
    EXPECT_EQ(call.body, "first");
    return worker(0);
  }
  // Makes the pool want another worker: those that live are busy for long.
  TestCall& waiting_call() {
    TestCall& call = submit();
    pass(seconds(1));
    return call;
  }
  nlohmann::json init_of(FakeWorker& of) {
    const auto frames = of.receive(wire::FrameType::kInit);
    return nlohmann::json::parse(frames.at(0).payload);
  }
};

TEST_F(ParentTest, TheFirstWorkerMayPauseAndItsCallGoesToTheFirstReplica) {
  const TestCall& call = submit();
  EXPECT_TRUE(worker(0).origin().may_pause);
  EXPECT_EQ(init_of(worker(0)).at("pause_after_ms"), 100);
  worker(0).paused();
  settle();
  ASSERT_EQ(launcher_.started(), 2U);
  EXPECT_EQ(worker(1).origin().parent, worker(0).instance());
  EXPECT_FALSE(worker(1).origin().may_pause);
  EXPECT_EQ(record_.loaded, 0);
  worker(1).ready();
  settle();
  EXPECT_EQ(record_.loaded, 1);
  worker(1).respond(request(worker(1)), "served", milliseconds(1));
  settle();
  EXPECT_EQ(call.body, "served");
  EXPECT_TRUE(call.call.cold);
  EXPECT_EQ(pool().replicas(), 1U);
  EXPECT_EQ(context_.workers_total, 1U);
}

// PAUSED is read when its end is told already.
TEST_F(ParentTest, AParentThatEndsAtOnceLeavesItsCallToAnother) {
  const TestCall& call = submit();
  worker(0).paused();
  worker(0).exit(exit_code(0));
  settle();
  ASSERT_EQ(launcher_.started(), 2U);
  worker(1).ready();
  settle();
  worker(1).respond(request(worker(1)), "served", milliseconds(1));
  settle();
  EXPECT_EQ(call.body, "served");
}

TEST_F(ParentTest, AFunctionCanOptOut) {
  config_.warm_parent = false;
  submit();
  EXPECT_FALSE(worker(0).origin().may_pause);
  EXPECT_FALSE(init_of(worker(0)).contains("pause_after_ms"));
}

TEST_F(ParentTest, OneWorkerAtATimeMayPause) {
  submit();
  submit();
  pass(seconds(1));
  ASSERT_EQ(launcher_.started(), 2U);
  EXPECT_TRUE(worker(0).origin().may_pause);
  EXPECT_FALSE(worker(1).origin().may_pause);
}

TEST_F(ParentTest, OthersWaitForTheParentOnceLoadingIsKnownToBeSlow) {
  paused().exit(exit_signal(9));
  worker(1).exit(exit_code(3));
  settle();
  submit();
  submit();
  pass(seconds(1));
  ASSERT_EQ(launcher_.started(), 3U);
  EXPECT_TRUE(worker(2).origin().may_pause);
  worker(2).paused();
  settle();
  pass(milliseconds(50));
  ASSERT_EQ(launcher_.started(), 5U);
  EXPECT_EQ(worker(3).origin().parent, worker(2).instance());
  EXPECT_EQ(worker(4).origin().parent, worker(2).instance());
}

TEST_F(ParentTest, TheReasonWhyThereIsNoneIsToldOnce) {
  submit();
  worker(0).ready_unpaused("2 more thread(s) run");
  settle();
  EXPECT_TRUE(record_.logged("no warm parent is kept: 2 more thread(s) run"));
  waiting_call();
  ASSERT_EQ(launcher_.started(), 2U);
  EXPECT_FALSE(worker(1).origin().may_pause);
  worker(1).ready_unpaused("2 more thread(s) run");
  settle();
  EXPECT_EQ(record_.lines.size(), 1U);
}

TEST_F(ParentTest, AKilledParentIsReplacedAndItsReplicasServeOn) {
  paused().exit(exit_signal(9));
  settle();
  EXPECT_TRUE(record_.logged("the warm parent was killed by signal 9"));
  EXPECT_TRUE(record_.broken.empty());
  const TestCall& call = submit();
  worker(1).respond(request(worker(1)), "still", milliseconds(1));
  settle();
  EXPECT_EQ(call.body, "still");
  EXPECT_EQ(context_.workers_total, 1U);
}

TEST_F(ParentTest, AForkThatFailsIsAnOrdinaryStartTheNextTime) {
  submit();
  worker(0).paused();
  settle();
  WorkerExit why;
  why.error = "trace the replica: Operation not permitted";
  worker(1).exit(why);
  settle();
  EXPECT_TRUE(record_.logged("trace the replica: Operation not permitted"));
  EXPECT_EQ(worker(0).receive(wire::FrameType::kShutdown).size(), 1U);
  ASSERT_EQ(launcher_.started(), 3U);
  EXPECT_EQ(worker(2).origin().parent, "");
  worker(2).ready();
  worker(2).respond(request(worker(2)), "served", milliseconds(1));
  settle();
  EXPECT_EQ(calls_.front().body, "served");
  EXPECT_TRUE(record_.broken.empty());
}

TEST_F(ParentTest, AfterSeveralLossesNoParentIsKept) {
  submit();
  WorkerExit why;
  why.error = "fork the parent: Connection timed out";
  for (std::size_t at = 0; at < 6; at += 2) {
    EXPECT_TRUE(worker(at).origin().may_pause);
    worker(at).paused();
    settle();
    worker(at + 1).exit(why);
    settle();
  }
  ASSERT_EQ(launcher_.started(), 7U);
  EXPECT_FALSE(worker(6).origin().may_pause);
  EXPECT_TRUE(record_.logged("no warm parent is kept: several could not be forked"));
}

TEST_F(ParentTest, AReplicaThatDiesBeforeItsFirstAnswerSpeaksAgainstForking) {
  submit();
  worker(0).paused();
  settle();
  worker(1).ready();
  settle();
  request(worker(1));
  worker(1).exit(exit_signal(11));
  settle();
  EXPECT_TRUE(record_.logged("no warm parent is kept: a worker that was forked from it"));
  EXPECT_EQ(worker(0).receive(wire::FrameType::kShutdown).size(), 1U);
  submit();
  EXPECT_FALSE(worker(2).origin().may_pause);
  EXPECT_EQ(worker(2).origin().parent, "");
}

TEST_F(ParentTest, TheParentEndsWithTheLastReplica) {
  FakeWorker& parent = paused();
  pass(config_.idle + seconds(1));
  EXPECT_EQ(worker(1).receive(wire::FrameType::kShutdown).size(), 1U);
  EXPECT_TRUE(parent.receive(wire::FrameType::kShutdown).empty());
  worker(1).exit(exit_code(0));
  pass(milliseconds(100));
  EXPECT_EQ(parent.receive(wire::FrameType::kShutdown).size(), 1U);
  parent.exit(exit_code(0));
  settle();
  EXPECT_TRUE(pool().empty());
  EXPECT_TRUE(pool().dormant());
  EXPECT_EQ(context_.workers_total, 0U);
}

TEST_F(ParentTest, TheParentOfACrashedReplicaIsKeptForTheNextCall) {
  FakeWorker& parent = paused();
  worker(1).exit(exit_code(3));
  pass(milliseconds(100));
  submit();
  ASSERT_EQ(launcher_.started(), 3U);
  EXPECT_EQ(worker(2).origin().parent, parent.instance());
  worker(2).respond(request(worker(2)), "again", milliseconds(1));
  worker(2).exit(exit_code(3));
  pass(config_.idle);
  EXPECT_EQ(parent.receive(wire::FrameType::kShutdown).size(), 1U);
}

TEST_F(ParentTest, ClosingEndsTheParentToo) {
  FakeWorker& parent = paused();
  pool().close(nullptr, FunctionPool::Leave::kAfterCalls);
  settle();
  EXPECT_EQ(parent.receive(wire::FrameType::kShutdown).size(), 1U);
  EXPECT_EQ(worker(1).receive(wire::FrameType::kShutdown).size(), 1U);
}

TEST_F(ParentTest, AWorkerThatPausesWhileItsPoolClosesJustLeaves) {
  submit();
  pool().close(nullptr, FunctionPool::Leave::kAfterCalls);
  worker(0).paused();
  settle();
  EXPECT_EQ(launcher_.started(), 1U);
  worker(0).exit(exit_code(0));
  settle();
  EXPECT_TRUE(pool().empty());
  EXPECT_EQ(context_.workers_total, 0U);
}

// Else each replica would give its place back and have the next one forked, without end.
TEST_F(ParentTest, AReplicaThatPausesIsStopped) {
  submit();
  worker(0).paused();
  settle();
  ASSERT_EQ(launcher_.started(), 2U);
  worker(1).paused();
  settle();
  EXPECT_TRUE(worker(1).killed());
  EXPECT_TRUE(record_.logged("it says PAUSED and may not"));
  EXPECT_EQ(launcher_.started(), 2U);
  EXPECT_EQ(context_.workers_total, 1U);
}

TEST_F(ParentTest, OneThatMayNotPauseAndDoesFailsToStart) {
  config_.warm_parent = config_.proven = false;
  const TestCall& call = submit();
  for (std::size_t at = 0; at < launcher_.started(); ++at) {
    ASSERT_LT(at, 10U);
    worker(at).paused();
    settle();
    EXPECT_TRUE(worker(at).killed());
    worker(at).exit(exit_signal(9));
    pass(milliseconds(500));
    if (!record_.broken.empty()) break;
  }
  EXPECT_EQ(record_.broken.size(), 1U);
  EXPECT_EQ(call.failure, Failure::kNotRunning);
}

TEST_F(ParentTest, ACallThatAPausedWorkerHasClaimedFails) {
  const TestCall& call = submit();
  worker(0).begin(request(worker(0)));
  worker(0).paused();
  settle();
  EXPECT_TRUE(worker(0).killed());
  EXPECT_TRUE(record_.logged("has claimed a call"));
  EXPECT_EQ(launcher_.started(), 1U);
  worker(0).exit(exit_signal(9));
  EXPECT_EQ(call.failure, Failure::kWorkerDied);
}

TEST_F(ParentTest, PausingLeavesRoomForAReplica) {
  context_.limits.max_workers_total = 1;
  const TestCall& call = submit();
  worker(0).paused();
  settle();
  ASSERT_EQ(launcher_.started(), 2U);
  worker(1).ready();
  worker(1).respond(request(worker(1)), "served", milliseconds(1));
  settle();
  EXPECT_EQ(call.body, "served");
}

}  // namespace
}  // namespace sterna::pool::testing
