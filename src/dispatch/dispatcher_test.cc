#include "dispatch/dispatcher.h"

#include "dispatch/dispatch_fixture.h"

namespace sterna::dispatch {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using pool::testing::exit_code;
using queue::State;
using registry::VersionState;

TEST_F(DispatchTest, RunsSettlesAndKeepsTheAnswer) {
  run_function();
  enqueue(submission("call-1", "in"));
  wait_until_warm();
  const auto got = request();
  wire::RequestHead head;
  std::string_view body;
  ASSERT_TRUE(wire::read_request(got.payload, head, body));
  EXPECT_EQ(body, "in");
  EXPECT_EQ(record("call-1").state, State::kRunning);
  clock_.advance(milliseconds(2));
  respond(got, 201, {{"Content-Type", "text/plain"}, {"X-Two", "a"}, {"X-Two", "b"}}, "out");

  EXPECT_EQ(record_.settled, std::vector<std::string>{"call-1 succeeded "});
  const queue::Record known = record("call-1");
  EXPECT_EQ(known.status_code, 201);
  EXPECT_EQ(known.version, 1);
  ASSERT_EQ(known.attempts.size(), 1U);
  EXPECT_EQ(known.attempts[0].number, 1);
  EXPECT_EQ(known.attempts[0].outcome, "answered");
  EXPECT_EQ(known.attempts[0].instance, worker(0).instance());
  EXPECT_TRUE(known.attempts[0].cold);
  EXPECT_EQ(known.attempts[0].duration, std::chrono::microseconds(1500));
  const Stored answer = answer_of("call-1");
  EXPECT_EQ(answer.body, "out");
  EXPECT_EQ(answer.headers,
            (pool::testing::PlayedHeaders{{"Content-Type", "text/plain"}, {"X-Two", "a"}, {"X-Two", "b"}}));
  EXPECT_EQ(dispatcher_->running(), 0U);
}

TEST_F(DispatchTest, HeadersOfTheConnectionAndOfThePlatformAreNotKept) {
  run_function();
  enqueue("call-1");
  wait_until_warm();
  respond(request(), 200,
          {{"Connection", "X-Hop"},
           {"X-Hop", "1"},
           {"X-Call-Id", "mine"},
           {"X-Sterna-Fault", "platform"},
           {"X-Kept", "yes"}},
          "");
  EXPECT_EQ(answer_of("call-1").headers, (pool::testing::PlayedHeaders{{"X-Kept", "yes"}}));
}

TEST_F(DispatchTest, AStreamedAnswerIsGatheredAndItsWindowGranted) {
  run_function();
  enqueue("call-1");
  wait_until_warm();
  const auto got = request();
  const std::string first(40'000, '1');
  respond(got, 200, {}, first, wire::More::kYes);
  EXPECT_FALSE(worker(0).receive(wire::FrameType::kWindow).empty());
  worker(0).send(wire::FrameType::kResponseBody, wire::More::kYes, got.slot, got.call, "two ");
  worker(0).send(wire::FrameType::kResponseBody, wire::More::kNo, got.slot, got.call, "three");
  settle();
  EXPECT_EQ(answer_of("call-1").body, first + "two three");
}

TEST_F(DispatchTest, AnAnswerWithARetryableStatusIsRunAgainUntilAttemptsAreSpent) {
  run_function({.max_attempts = 2, .concurrency = {}});
  enqueue("call-1");
  wait_until_warm();
  respond(request(), 503, {{"Retry-After", "5"}}, "busy");
  EXPECT_EQ(record("call-1").state, State::kQueued);
  EXPECT_EQ(record("call-1").reason, "retryable_status");
  EXPECT_EQ(retries_, 1);
  pass(milliseconds(4900));
  EXPECT_TRUE(requests().empty());
  pass(milliseconds(200));
  respond(request(), 503, {}, "still busy");

  EXPECT_EQ(record_.settled, std::vector<std::string>{"call-1 failed retryable_status"});
  EXPECT_EQ(record("call-1").attempts.size(), 2U);
  EXPECT_EQ(record("call-1").status_code, 503);
  EXPECT_EQ(answer_of("call-1").body, "still busy");
  EXPECT_EQ(retries_, 1);
}

TEST_F(DispatchTest, AFailureIsAnsweredAsToASynchronousCaller) {
  run_function({.max_attempts = 1, .concurrency = {}});
  enqueue("call-1");
  wait_until_warm();
  worker(0).fail(request(), wire::FailKind::kRaised, "ValueError");
  settle();
  EXPECT_EQ(record_.settled, std::vector<std::string>{"call-1 failed function_raised"});
  const Stored answer = answer_of("call-1");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.headers, (pool::testing::PlayedHeaders{{"Content-Type", "application/problem+json"},
                                                          {"X-Sterna-Fault", "function"}}));
  EXPECT_NE(answer.body.find(R"("reason":"function_raised")"), std::string::npos);
  EXPECT_NE(answer.body.find(R"("call_id":"call-1")"), std::string::npos);
  EXPECT_EQ(record("call-1").attempts.at(0).outcome, "failed");
  EXPECT_EQ(record("call-1").attempts.at(0).reason, "function_raised");
}

TEST_F(DispatchTest, ABrokenStreamIsAFailedAttempt) {
  run_function({.max_attempts = 1, .concurrency = {}});
  enqueue("call-1");
  wait_until_warm();
  respond(request(), 200, {{"X-Half", "1"}}, "half", wire::More::kYes);
  worker(0).exit(exit_code(1));
  settle();
  EXPECT_EQ(record_.settled, std::vector<std::string>{"call-1 failed worker_died"});
  const Stored answer = answer_of("call-1");
  EXPECT_EQ(answer.status, 502);
  EXPECT_EQ(answer.body.find("half"), std::string::npos);
  EXPECT_EQ(answer.headers.at(0).first, "Content-Type");
}

TEST_F(DispatchTest, TooLargeAnAnswerStopsTheRunAndIsNotTriedAgain) {
  dispatch_limits_.max_result_bytes = 8;
  start();
  run_function();
  enqueue("call-1");
  wait_until_warm();
  const auto got = request();
  respond(got, 200, {}, "12345", wire::More::kYes);
  EXPECT_TRUE(record_.settled.empty());
  worker(0).send(wire::FrameType::kResponseBody, wire::More::kYes, got.slot, got.call, "6789");
  settle();
  EXPECT_FALSE(worker(0).receive(wire::FrameType::kCancel).empty());
  EXPECT_EQ(record_.settled, std::vector<std::string>{"call-1 failed result_too_large"});
  EXPECT_EQ(answer_of("call-1").status, 502);
  EXPECT_EQ(answer_of("call-1").body.find("12345"), std::string::npos);
}

TEST_F(DispatchTest, AnAnswerThatCannotBeKeptIsTheServersFault) {
  bodies_.body_limit = 4;
  bodies_.spool_dir = "/proc/nowhere";
  run_function();
  enqueue("call-1");
  wait_until_warm();
  respond(request(), 200, {}, "12345");
  EXPECT_TRUE(record_.settled.empty());
  EXPECT_EQ(record("call-1").attempts.at(0).reason, "result_not_kept");
  EXPECT_EQ(record("call-1").state, queue::State::kQueued);
  bodies_.body_limit = 100;
  pass(milliseconds(900));
  EXPECT_TRUE(worker(0).receive(wire::FrameType::kRequest).empty());  // its code is not run again at once
  pass(milliseconds(200));
  respond(request(), 200, {}, "12345");
  EXPECT_EQ(record("call-1").attempts.at(1).number, 2);
  EXPECT_EQ(answer_of("call-1").body, "12345");
}

TEST_F(DispatchTest, NoMoreRunThanTheFunctionAllows) {
  run_function({.concurrency = 1});
  for (const char* id : {"call-1", "call-2", "call-3"}) enqueue(id);
  wait_until_warm();
  const auto first = request();
  EXPECT_EQ(queue_.depth(name().id).leased, 1U);
  respond(first, 200, {}, "");
  respond(request(), 200, {}, "");  // without any time passing
  respond(request(), 200, {}, "");
  EXPECT_EQ(record_.settled.size(), 3U);
}

TEST_F(DispatchTest, RunsAreWhatAWorkerHas) {
  const WallTime due = clock_.wall();
  run_function();
  enqueue("call-1");
  pass(seconds(3));
  EXPECT_EQ(dispatcher_->running(), 1U);
  EXPECT_EQ(record("call-1").state, State::kQueued);  // its worker starts
  EXPECT_EQ(record("call-1").started_at, std::nullopt);
  EXPECT_EQ(queue_.depth(name().id).running, 0U);
  EXPECT_EQ(queue_.depth(name().id).oldest, due);
  wait_until_warm();
  EXPECT_EQ(record("call-1").state, State::kRunning);
  EXPECT_EQ(queue_.depth(name().id).running, 1U);
  EXPECT_EQ(queue_.depth(name().id).oldest, std::nullopt);
  respond(request(), 200, {}, "");
  EXPECT_EQ(record_.settled.size(), 1U);
}

TEST_F(DispatchTest, AReplicaStaysFreeForSynchronousCallers) {
  run_function();
  for (int i = 0; i < 6; ++i) enqueue("call-" + std::to_string(i));
  EXPECT_LE(queue_.depth(name().id).leased, 3U);  // of four replicas that run one call each
  EXPECT_EQ(queue_.depth(name().id).waiting, 6U);
}

TEST_F(DispatchTest, SynchronousCallersGoFirst) {
  run_function();
  for (int i = 0; i < 3; ++i) invoke();  // one is with the worker that starts, others wait in line
  ASSERT_GT(entry().active->waiting(), 0U);
  enqueue("call-1");
  EXPECT_EQ(queue_.depth(name().id).leased, 0U);
  for (std::size_t i = 0; i < launcher_.started(); ++i) wait_until_warm(i);
  for (int round = 0; round < 4; ++round) {
    for (std::size_t i = 0; i < launcher_.started(); ++i) answer(i, "");
  }
  ASSERT_EQ(entry().active->waiting(), 0U);
  pass(milliseconds(50));
  EXPECT_EQ(queue_.depth(name().id).leased, 1U);
}

TEST_F(DispatchTest, WhatWaitsForAFunctionRunsAsSoonAsItDoes) {
  table_.apply(function(1, VersionState::kPending, 0));
  enqueue("call-1");
  pass(seconds(10));
  EXPECT_EQ(queue_.depth(name().id).leased, 0U);
  wait_until_warm();
  run_function();
  settle();
  EXPECT_EQ(queue_.depth(name().id).leased, 1U);
  respond(request(), 200, {}, "");
  EXPECT_EQ(record_.settled, std::vector<std::string>{"call-1 succeeded "});
}

TEST_F(DispatchTest, AStoppedFunctionSpendsNoAttempt) {
  run_function({.max_attempts = 1, .concurrency = {}});
  enqueue("call-1");  // waits for the worker that starts
  table_.apply(stopped(1));
  pass(seconds(10));
  worker(0).exit(exit_code(0));
  pass(seconds(10));
  EXPECT_TRUE(record_.settled.empty());
  run_function({.max_attempts = 1, .concurrency = {}});
  pass(seconds(1));
  wait_until_warm(launcher_.started() - 1);
  respond(request(launcher_.started() - 1), 200, {}, "", wire::More::kNo, launcher_.started() - 1);
  EXPECT_EQ(record("call-1").state, State::kSucceeded);
  EXPECT_EQ(record("call-1").attempts.at(0).number, 1);
}

TEST_F(DispatchTest, ACancelledRunIsReallyStopped) {
  run_function();
  enqueue("call-1");
  wait_until_warm();
  const auto got = request();
  queue_.cancel(name().id, "call-1", [](const Result<void>& done) { EXPECT_TRUE(done); });
  settle();
  EXPECT_EQ(record_.settled, std::vector<std::string>{"call-1 cancelled cancelled"});
  EXPECT_EQ(worker(0).receive(wire::FrameType::kCancel).size(), 1U);
  EXPECT_EQ(dispatcher_->running(), 0U);
  EXPECT_NE(logs_.back().find("the invocation was cancelled"), std::string::npos);
  respond(got, 200, {}, "too late");
  EXPECT_EQ(record("call-1").state, State::kCancelled);
  ASSERT_EQ(record("call-1").attempts.size(), 1U);
  EXPECT_EQ(record("call-1").attempts[0].outcome, "cancelled");
  EXPECT_EQ(record("call-1").attempts[0].instance, worker(0).instance());
  EXPECT_EQ(record("call-1").version, 1);
  EXPECT_TRUE(record("call-1").started_at);
}

TEST_F(DispatchTest, ADeletedFunctionsRunsEndAndNothingIsRunForIt) {
  run_function();
  enqueue("call-1");
  wait_until_warm();
  request();
  table_.remove(name().id);
  pass(minutes(1));
  EXPECT_EQ(dispatcher_->running(), 0U);
  EXPECT_EQ(queue_.depth(name().id).waiting, 0U);
}

TEST_F(DispatchTest, ALeaseIsRenewedWhileTheRunGoesOn) {
  run_function({}, minutes(10));
  enqueue("call-1");
  wait_until_warm();
  const auto got = request();
  for (int i = 0; i < 30; ++i) pass(seconds(10));
  EXPECT_EQ(record("call-1").state, State::kRunning);
  EXPECT_TRUE(requests().empty());
  respond(got, 200, {}, "late");
  EXPECT_EQ(record_.settled, std::vector<std::string>{"call-1 succeeded "});
  EXPECT_EQ(record("call-1").attempts.size(), 1U);
}

TEST_F(DispatchTest, DrainingTakesNothingMoreAndLetsRunsEnd) {
  run_function({.concurrency = 1});
  enqueue("call-1");
  enqueue("call-2");
  wait_until_warm();
  const auto got = request();
  dispatcher_->drain();
  EXPECT_EQ(dispatcher_->running(), 1U);
  respond(got, 200, {}, "");
  EXPECT_EQ(dispatcher_->running(), 0U);
  pass(seconds(1));
  EXPECT_TRUE(requests().empty());
  EXPECT_EQ(record("call-2").state, State::kQueued);
}

TEST_F(DispatchTest, WhatAnEarlierServerLeftIsRun) {
  dispatcher_.reset();
  run_function();
  enqueue("call-1");
  start();
  settle();
  wait_until_warm();
  respond(request(), 200, {}, "");
  EXPECT_EQ(record_.settled, std::vector<std::string>{"call-1 succeeded "});
}

TEST_F(DispatchTest, NothingIsTakenForASettlementThatIsNotOnDisk) {
  dispatch_limits_.max_runs = 1;
  start();
  run_function();
  enqueue("call-1");
  enqueue("call-2");
  wait_until_warm();
  worker(0).respond(request(), "", milliseconds(1));
  loop_.turn(Duration::zero());  // the run has ended; the queue writes in a later turn
  ASSERT_TRUE(record_.settled.empty());
  EXPECT_EQ(queue_.depth(name().id).leased, 1U);
  EXPECT_EQ(dispatcher_->running(), 1U);
  settle();
  EXPECT_EQ(record_.settled, std::vector<std::string>{"call-1 succeeded "});
  EXPECT_EQ(requests().size(), 1U);
}

TEST_F(DispatchTest, AllFunctionsTogetherHaveALimit) {
  dispatch_limits_.max_runs = 2;
  start();
  run_function();
  table_.apply(running(1, "other"));
  for (int i = 0; i < 3; ++i) {
    enqueue("call-" + std::to_string(i));
    auto other = submission("other-" + std::to_string(i));
    other.function = name("other");
    enqueue(std::move(other));
  }
  EXPECT_EQ(queue_.depth(name("motion").id).leased, 1U);
  EXPECT_EQ(queue_.depth(name("other").id).leased, 1U);
  EXPECT_EQ(dispatcher_->running(), 2U);
}

// --- who waits as for a synchronous call ---

class AtOnceTest : public DispatchTest {
 protected:
  void enqueue_at_once(const std::string& id, const std::string& key = "key") {
    queue::Submission made = submission(id);
    made.max_attempts = 1;
    made.turn = queue::Turn::kAtOnce;
    made.idempotency = queue::IdempotencyKey{
        .key = key, .fingerprint = "print", .forgotten_at = clock_.wall() + std::chrono::hours(24)};
    enqueue(std::move(made));
  }
};

TEST_F(AtOnceTest, BeginsThoughAsynchronousRunsTakeAllTheyMay) {
  dispatch_limits_.max_runs = 1;
  start();
  run_function({.concurrency = 1});
  enqueue("call-1");
  enqueue("call-2");
  EXPECT_EQ(queue_.depth(name().id).leased, 1U);
  enqueue_at_once("now");
  EXPECT_EQ(queue_.depth(name().id).leased, 2U);
  EXPECT_EQ(dispatcher_->running(), 2U);
}

TEST_F(AtOnceTest, WithoutAWorkerInTimeItIsRefusedAndItsKeyIsFree) {
  registry::Function made = running(1);
  made.active->spec.limits.max_replicas = 1;
  made.active->spec.limits.timeout = minutes(30);
  table_.apply(made);
  enqueue("call-1");
  wait_until_warm();
  request();  // the only worker is busy from here on
  enqueue_at_once("now");
  EXPECT_EQ(dispatcher_->running(), 2U);
  EXPECT_EQ(record("now").state, State::kQueued);
  for (int i = 0; i < 30; ++i) pass(seconds(10));
  EXPECT_EQ(record("now").state, State::kExpired);
  EXPECT_EQ(record("now").reason, "no_capacity");
  EXPECT_TRUE(record("now").attempts.empty());
  const Stored answer = answer_of("now");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.headers, (pool::testing::PlayedHeaders{{"Content-Type", "application/problem+json"},
                                                          {"X-Sterna-Fault", "platform"},
                                                          {"Retry-After", "1"}}));
  EXPECT_EQ(dispatcher_->running(), 1U);
  enqueue_at_once("again");
  EXPECT_EQ(record("again").id, "again");
}

TEST_F(AtOnceTest, OfAFunctionThatWasStoppedItIsRefused) {
  table_.apply(stopped(1));
  enqueue_at_once("now");
  EXPECT_EQ(record("now").state, State::kExpired);
  EXPECT_EQ(record("now").reason, "function_not_running");
  EXPECT_EQ(answer_of("now").status, 503);
  EXPECT_EQ(dispatcher_->running(), 0U);
}

TEST_F(AtOnceTest, OfAFunctionThatIsComingItWaits) {
  table_.apply(function(1, VersionState::kPending, 0));
  enqueue_at_once("now");
  pass(minutes(1));
  EXPECT_EQ(record("now").state, State::kQueued);
  EXPECT_EQ(dispatcher_->running(), 0U);
  wait_until_warm();
  run_function();
  settle();
  EXPECT_EQ(dispatcher_->running(), 1U);
}

TEST_F(DispatchTest, ASpaceLeavesAsManyPlacesAsItHasTaken) {
  dispatch_limits_.max_runs = 6;
  start();
  registry::Function hog = running(1);
  hog.active->spec.limits.concurrency = 100;
  hog.active->spec.async.concurrency = 100;
  table_.apply(hog);
  enqueue("call-0");
  wait_until_warm();
  for (int i = 1; i < 10; ++i) enqueue("call-" + std::to_string(i));
  EXPECT_EQ(queue_.depth(name().id).leased, 3U);
  registry::Function made = running(1, "other");
  made.space = "elsewhere";
  table_.apply(made);
  for (int i = 0; i < 10; ++i) {
    auto other = submission("other-" + std::to_string(i));
    other.function = name("other");
    other.function.space = "elsewhere";
    enqueue(std::move(other));
  }
  EXPECT_GE(queue_.depth(name("other").id).leased, 1U);
  EXPECT_LE(dispatcher_->running(), 6U);
}

}  // namespace
}  // namespace sterna::dispatch
