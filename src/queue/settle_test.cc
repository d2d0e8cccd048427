// How invocations end: once, and for the true reason.
#include "api/json.h"
#include "queue/testing/conformance.h"
#include "wire/messages.h"

namespace sterna::queue::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class SettleTest : public Conformance {};
INSTANTIATE_TEST_SUITE_P(Queues, SettleTest, ::testing::ValuesIn(implementations()), name_of);

TEST_P(SettleTest, TheEndIsOnRecord) {
  accept(kResize, "01A");
  pass(seconds(1));
  const Lease lease = take();
  pass(seconds(2));
  Settlement settlement = succeeded(lease, "answer");
  const Attempt made = *settlement.attempt;
  ASSERT_TRUE(settle(lease, std::move(settlement)));
  EXPECT_THAT(watcher_.settled,
              ElementsAre(Watcher::Settled{"resize", "01A", State::kSucceeded, "", Delivery::kNone}));
  const auto record = find("01A");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->state, State::kSucceeded);
  EXPECT_EQ(record->reason, "");
  EXPECT_EQ(record->version, 3);
  EXPECT_EQ(record->status_code, 200);
  EXPECT_EQ(record->started_at, made.started_at);
  EXPECT_EQ(record->ended_at, now());
  EXPECT_EQ(record->delivery, Delivery::kNone);
  ASSERT_EQ(record->attempts.size(), 1U);
  EXPECT_EQ(record->attempts[0].number, 1);
  EXPECT_EQ(record->attempts[0].started_at, made.started_at);
  EXPECT_EQ(record->attempts[0].ended_at, made.ended_at);
  EXPECT_EQ(record->attempts[0].duration, made.duration);
  EXPECT_EQ(record->attempts[0].outcome, "answered");
  EXPECT_EQ(record->attempts[0].reason, "");
  EXPECT_EQ(record->attempts[0].status_code, 200);
  EXPECT_EQ(record->attempts[0].instance, "01WORKER");
  EXPECT_TRUE(record->attempts[0].cold);
  EXPECT_FALSE(try_take());
  EXPECT_EQ(queue().depth(kResize.id).waiting, 0U);
}

TEST_P(SettleTest, AFailureKeepsItsReason) {
  run_and_fail(kResize, "01A");
  const auto record = find("01A");
  EXPECT_EQ(record->state, State::kFailed);
  EXPECT_EQ(record->reason, "function_raised");
  EXPECT_EQ(record->status_code, 500);
  EXPECT_EQ(record->attempts.at(0).outcome, "failed");
  EXPECT_EQ(record->attempts.at(0).reason, "function_raised");
  EXPECT_THAT(watcher_.settled, ElementsAre(Watcher::Settled{"resize", "01A", State::kFailed,
                                                             "function_raised", Delivery::kNone}));
}

TEST_P(SettleTest, IsDoneOnce) {
  accept(kResize, "01A");
  const Lease lease = take();
  std::vector<Status> first;
  std::vector<Status> second;
  queue().settle(lease.receipt, succeeded(lease, "one"),
                 [&](Status status) { first.push_back(std::move(status)); });
  queue().settle(lease.receipt, failed(lease, "two"),
                 [&](Status status) { second.push_back(std::move(status)); });
  until([&] { return !first.empty() && !second.empty(); });
  EXPECT_TRUE(first[0]);
  ASSERT_FALSE(second[0]);
  EXPECT_EQ(second[0].error().reason, "stale_receipt");
  EXPECT_EQ(settle(lease, failed(lease, "three")).error().reason, "stale_receipt");
  EXPECT_EQ(state_of("01A"), State::kSucceeded);
  EXPECT_EQ(find("01A")->attempts.size(), 1U);
  EXPECT_EQ(watcher_.settled.size(), 1U);
  queue().give_back(lease.receipt, Duration::zero());  // of no effect
  EXPECT_FALSE(try_take());
}

TEST_P(SettleTest, ARetryIsAnotherAttempt) {
  accept(kResize, "01A");
  const Lease lease = take();
  const WallTime first_start = attempt(lease, 503).started_at;
  ASSERT_TRUE(settle(lease, retried(lease, now() + seconds(20))));
  EXPECT_THAT(watcher_.settled, IsEmpty());
  auto record = find("01A");
  EXPECT_EQ(record->state, State::kQueued);
  EXPECT_EQ(record->reason, "retryable_status");
  EXPECT_EQ(record->status_code, 503);
  EXPECT_EQ(record->version, 2);
  EXPECT_EQ(record->started_at, first_start);
  EXPECT_EQ(record->ended_at, std::nullopt);
  EXPECT_EQ(record->attempts.size(), 1U);
  EXPECT_EQ(queue().renew(lease.receipt, kLease).error().reason, "stale_receipt");

  pass(seconds(19));
  EXPECT_FALSE(try_take());
  pass(milliseconds(1100));
  const Lease next = take();
  EXPECT_EQ(next.id, "01A");
  EXPECT_EQ(next.attempt, 2);
  EXPECT_EQ(next.spent, 1);
  ASSERT_TRUE(settle(next, retried(next, now())));  // at once
  pass(milliseconds(200));
  const Lease last = take();
  EXPECT_EQ(last.attempt, 3);
  EXPECT_EQ(last.spent, 2);
  ASSERT_TRUE(settle(last, succeeded(last, "")));
  record = find("01A");
  EXPECT_EQ(record->state, State::kSucceeded);
  EXPECT_EQ(record->reason, "");
  EXPECT_EQ(record->status_code, 200);
  EXPECT_EQ(record->version, 3);
  EXPECT_EQ(record->started_at, first_start);
  ASSERT_EQ(record->attempts.size(), 3U);
  EXPECT_EQ(record->attempts[1].number, 2);
  EXPECT_EQ(record->attempts[1].reason, "retryable_status");
}

TEST_P(SettleTest, ARetryIsKeptThroughARestart) {
  Submission wanted = submission(kResize, "01A", "body");
  accept(std::move(wanted));
  const Lease lease = take();
  ASSERT_TRUE(settle(lease, retried(lease, now() + minutes(1))));
  reopen();
  EXPECT_EQ(find("01A")->attempts.size(), 1U);
  EXPECT_FALSE(try_take());
  pass(minutes(1) + seconds(1));
  const Lease next = take();
  EXPECT_EQ(next.attempt, 2);
  EXPECT_EQ(next.spent, 1);
  EXPECT_EQ(bytes_of(next.body), "body");
}

TEST_P(SettleTest, AnAttemptThatCostsNothingIsNotedAndNotSpent) {
  accept(kResize, "01A");
  const Lease lease = take();
  Settlement free = retried(lease, now() + seconds(1));
  free.cost = Cost::kFree;
  ASSERT_TRUE(settle(lease, std::move(free)));
  EXPECT_EQ(find("01A")->attempts.size(), 1U);
  reopen();
  pass(seconds(2));
  const Lease next = take();
  EXPECT_EQ(next.attempt, 2);
  EXPECT_EQ(next.spent, 0);
}

TEST_P(SettleTest, WhatIsTooOldExpires) {
  Submission ready = submission(kResize, "01READY");
  ready.expires_at = now() + minutes(1);
  accept(std::move(ready));
  Submission delayed = submission(kMail, "01DELAYED");
  delayed.not_before = now() + hours(1);
  delayed.expires_at = now() + minutes(1);
  accept(std::move(delayed));
  Submission parked = submission(kLab, "01PARKED");
  parked.expires_at = now() + minutes(1);
  parked.callback_url = "https://example.com/";
  accept(std::move(parked));
  may_run_ = [](const FunctionName&) { return Gate::kNotNow; };
  EXPECT_FALSE(try_take());

  pass(minutes(1) - milliseconds(200));
  EXPECT_THAT(watcher_.settled, IsEmpty());
  pass(milliseconds(300));
  until([&] { return watcher_.settled.size() == 3; });
  for (const Watcher::Settled& settled : watcher_.settled) {
    EXPECT_EQ(settled.state, State::kExpired);
    EXPECT_EQ(settled.reason, kExpired);
    EXPECT_EQ(settled.callback, settled.id == "01PARKED" ? Delivery::kPending : Delivery::kNone);
  }
  const auto record = find("01READY");
  EXPECT_EQ(record->state, State::kExpired);
  EXPECT_EQ(record->reason, "invocation_expired");
  EXPECT_EQ(record->status_code, 504);
  EXPECT_EQ(record->ended_at, now());
  EXPECT_TRUE(record->attempts.empty());
  EXPECT_EQ(state_of("01DELAYED", kMail), State::kExpired);
  EXPECT_EQ(delivery_of("01PARKED", kLab), Delivery::kPending);
  EXPECT_EQ(queue().depth(kResize.id).waiting, 0U);
}

TEST_P(SettleTest, TheAnswerOfAnExpiredOneIsAProblem) {
  Submission wanted = submission(kResize, "01A");
  wanted.expires_at = now() + seconds(1);
  wanted.callback_url = "https://example.com/";
  accept(std::move(wanted));
  pass(seconds(2));
  until([&] { return !watcher_.settled.empty(); });

  const DueDelivery due = take_delivery();
  const auto stored = answer("01A");
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->status_code, 504);
  EXPECT_EQ(due.status_code, 504);
  EXPECT_EQ(due.attempt, 0);
  EXPECT_EQ(bytes_of(*stored->body, 100), bytes_of(due));
  const api::Json problem = api::Json::parse(bytes_of(due));
  EXPECT_EQ(problem["status"], 504);
  EXPECT_EQ(problem["reason"], "invocation_expired");
  EXPECT_EQ(problem["component"], "queue");
  EXPECT_EQ(problem["call_id"], "01A");
  wire::HeaderWalk walk(stored->headers, stored->header_count);
  std::string_view name;
  std::string_view value;
  ASSERT_TRUE(walk.next(name, value));
  EXPECT_EQ(name, "Content-Type");
  EXPECT_EQ(value, "application/problem+json");
  ASSERT_TRUE(walk.next(name, value));
  EXPECT_EQ(name, "X-Sterna-Fault");
  EXPECT_EQ(value, "platform");
  EXPECT_FALSE(walk.next(name, value));
  EXPECT_TRUE(walk.ok());
}

TEST_P(SettleTest, ARetryBeyondItsAgeExpires) {
  Submission wanted = submission(kResize, "01A");
  wanted.expires_at = now() + minutes(1);
  accept(std::move(wanted));
  const Lease lease = take();
  ASSERT_TRUE(settle(lease, retried(lease, now() + hours(1))));
  pass(minutes(1) + seconds(1));
  until([&] { return !watcher_.settled.empty(); });
  const auto record = find("01A");
  EXPECT_EQ(record->state, State::kExpired);
  EXPECT_EQ(record->reason, "invocation_expired");
  EXPECT_EQ(record->attempts.size(), 1U);
}

TEST_P(SettleTest, AWallClockThatIsSetMakesNothingOld) {
  Submission brief = submission(kResize, "01BRIEF");
  brief.expires_at = now() + minutes(1);
  accept(std::move(brief));
  Submission later = submission(kMail, "01LATER");
  later.not_before = now() + minutes(10);
  later.expires_at = later.not_before + minutes(1);
  accept(std::move(later));
  pass(seconds(1));

  clock_.jump(hours(8));  // past all of it
  pass(seconds(1));
  EXPECT_THAT(watcher_.settled, IsEmpty());
  std::vector<Lease> leases;
  EXPECT_THAT(take_all(&leases), UnorderedElementsAre("01BRIEF", "01LATER"));
  for (const Lease& lease : leases) {
    if (lease.id == "01BRIEF") EXPECT_EQ(lease.expires_at, clock_.now() + seconds(58));
  }
  for (const Lease& lease : leases) ASSERT_TRUE(settle(lease, retried(lease, now() + seconds(5))));

  clock_.jump(-hours(8));
  pass(minutes(59));  // the wall clock has not come to the retries, which wait longer than they would live
  EXPECT_FALSE(try_take());
  clock_.jump(hours(8));
  pass(seconds(1));
  EXPECT_THAT(watcher_.settled, IsEmpty());
  EXPECT_EQ(take_all().size(), 2U);
}

TEST_P(SettleTest, AWallClockThatIsSetBackKeepsNothingYoung) {
  Submission brief = submission(kResize, "01BRIEF");
  brief.expires_at = now() + minutes(1);
  accept(std::move(brief));
  clock_.jump(-hours(8));
  pass(minutes(1));
  until([&] { return !watcher_.settled.empty(); });
  EXPECT_EQ(state_of("01BRIEF"), State::kExpired);
}

TEST_P(SettleTest, OverARestartAgesCountByTheWallClock) {
  for (const auto& [id, delay] : {std::pair("01A", 0), std::pair("01B", 5)}) {
    Submission wanted = submission(kResize, id);
    wanted.not_before = now() + minutes(delay);
    wanted.expires_at = wanted.not_before + hours(1);
    accept(std::move(wanted));
  }
  clock_.jump(minutes(63));  // as if the machine had been off
  reopen();
  pass(seconds(1));
  until([&] { return !watcher_.settled.empty(); });
  EXPECT_EQ(state_of("01A"), State::kExpired);
  EXPECT_THAT(take_all(), ElementsAre("01B"));
}

TEST_P(SettleTest, WhatRunsDoesNotExpire) {
  Submission wanted = submission(kResize, "01A");
  wanted.expires_at = now() + seconds(1);
  accept(std::move(wanted));
  const Lease lease = take();
  pass(seconds(30));
  EXPECT_EQ(state_of("01A"), State::kRunning);
  EXPECT_TRUE(settle(lease, succeeded(lease, "")));
  EXPECT_EQ(state_of("01A"), State::kSucceeded);
}

TEST_P(SettleTest, WhatWaitsIsCancelled) {
  Submission with_callback = submission(kResize, "01A");
  with_callback.callback_url = "https://example.com/";
  accept(std::move(with_callback));
  Submission later = submission(kResize, "01B");
  later.not_before = now() + minutes(1);
  accept(std::move(later));
  accept(kResize, "01C");
  ASSERT_TRUE(cancel("01A"));
  ASSERT_TRUE(cancel("01B"));
  EXPECT_THAT(
      watcher_.settled,
      ElementsAre(Watcher::Settled{"resize", "01A", State::kCancelled, "cancelled", Delivery::kNone},
                  Watcher::Settled{"resize", "01B", State::kCancelled, "cancelled", Delivery::kNone}));
  EXPECT_THAT(watcher_.revoked, IsEmpty());
  const auto record = find("01A");
  EXPECT_EQ(record->state, State::kCancelled);
  EXPECT_EQ(record->reason, "cancelled");
  EXPECT_EQ(record->ended_at, now());
  EXPECT_EQ(record->delivery, Delivery::kNone);
  EXPECT_EQ(answer("01A").error().reason, "no_answer");
  pass(minutes(2));
  EXPECT_THAT(take_all(), ElementsAre("01C"));
  EXPECT_FALSE(try_take_delivery());
  EXPECT_EQ(queue().depth(kResize.id).waiting, 1U);
}

TEST_P(SettleTest, WhatRunsIsCancelled) {
  accept(kResize, "01A");
  const Lease lease = take();
  ASSERT_TRUE(cancel("01A"));
  EXPECT_THAT(watcher_.revoked, ElementsAre(lease.receipt));
  EXPECT_EQ(state_of("01A"), State::kCancelled);
  EXPECT_EQ(settle(lease, succeeded(lease, "late")).error().reason, "stale_receipt");
  EXPECT_EQ(queue().renew(lease.receipt, kLease).error().reason, "stale_receipt");
  pass(kLease * 2);
  EXPECT_EQ(watcher_.revoked.size(), 1U);
  EXPECT_EQ(watcher_.settled.size(), 1U);
  EXPECT_EQ(queue().depth(kResize.id).leased, 0U);
}

TEST_P(SettleTest, WhatACancellationBreaksOffIsOnRecord) {
  accept(kResize, "01A");
  const Lease first = take();
  ASSERT_TRUE(settle(first, retried(first, now() + seconds(1))));
  pass(seconds(2));
  const Lease lease = take();
  Attempt run = *succeeded(lease, "").attempt;
  run.outcome = "cancelled";
  watcher_.running = lease.receipt;
  watcher_.interrupted = Interruption{.attempt = run, .version = 7};
  ASSERT_TRUE(cancel("01A"));
  EXPECT_THAT(watcher_.revoked_for, ElementsAre("cancelled"));
  const auto record = find("01A");
  EXPECT_EQ(record->version, 7);
  ASSERT_EQ(record->attempts.size(), 2U);
  EXPECT_EQ(record->started_at, record->attempts[0].started_at);
  EXPECT_EQ(record->attempts[1].number, 2);
  EXPECT_EQ(record->attempts[1].outcome, "cancelled");
  EXPECT_EQ(record->attempts[1].started_at, run.started_at);
}

TEST_P(SettleTest, WhatIsToBeRunAgainIsCancelled) {
  accept(kResize, "01A");
  const Lease lease = take();
  ASSERT_TRUE(settle(lease, retried(lease, now() + seconds(1))));
  ASSERT_TRUE(cancel("01A"));
  pass(seconds(2));
  EXPECT_FALSE(try_take());
  EXPECT_EQ(find("01A")->attempts.size(), 1U);
  EXPECT_EQ(answer("01A").error().reason, "no_answer");
}

TEST_P(SettleTest, WhatHasEndedIsNotCancelled) {
  run(kResize, "01A");
  EXPECT_EQ(cancel("01A").error().reason, "already_ended");
  EXPECT_EQ(cancel("01A").error().code, Code::kConflict);
  accept(kResize, "01B");
  ASSERT_TRUE(cancel("01B"));
  EXPECT_EQ(cancel("01B").error().reason, "already_ended");
  EXPECT_EQ(cancel("01C").error().reason, "invocation_not_found");
  EXPECT_EQ(cancel("01A", kMail).error().reason, "invocation_not_found");  // another function's
  EXPECT_EQ(watcher_.settled.size(), 2U);
}

TEST_P(SettleTest, OfACancelAndASettlementOneComesFirst) {
  for (const bool cancel_first : {true, false}) {
    const std::string id = cancel_first ? "01A" : "01B";
    accept(kResize, id);
    const Lease lease = take();
    std::vector<Status> settled;
    std::vector<Status> cancelled;
    const auto do_cancel = [&] {
      queue().cancel(kResize.id, id, [&](Status status) { cancelled.push_back(std::move(status)); });
    };
    if (cancel_first) do_cancel();
    queue().settle(lease.receipt, succeeded(lease, ""),
                   [&](Status status) { settled.push_back(std::move(status)); });
    if (!cancel_first) do_cancel();
    until([&] { return !settled.empty() && !cancelled.empty(); });
    EXPECT_NE(settled[0].has_value(), cancelled[0].has_value());
    EXPECT_EQ(state_of(id), settled[0] ? State::kSucceeded : State::kCancelled);
    if (!settled[0]) EXPECT_EQ(settled[0].error().reason, "stale_receipt");
    if (!cancelled[0]) EXPECT_EQ(cancelled[0].error().reason, "already_ended");
    EXPECT_EQ(queue().depth(kResize.id).waiting, 0U);
  }
  EXPECT_EQ(watcher_.settled.size(), 2U);
}

TEST_P(SettleTest, AFailedOneIsRunAgain) {
  Submission wanted = submission(kResize, "01A", binary(70'000));
  accept(std::move(wanted));
  const Lease first = take();
  ASSERT_TRUE(settle(first, retried(first, now())));
  pass(seconds(1));
  const Lease second = take();
  ASSERT_TRUE(settle(second, failed(second, "no")));
  pass(hours(5));

  const int ready = watcher_.ready;
  ASSERT_TRUE(redrive("01A"));
  EXPECT_GT(watcher_.ready, ready);
  auto record = find("01A");
  EXPECT_EQ(record->state, State::kQueued);
  EXPECT_EQ(record->reason, "");
  EXPECT_EQ(record->status_code, 0);
  EXPECT_EQ(record->ended_at, std::nullopt);
  EXPECT_EQ(record->attempts.size(), 2U);
  EXPECT_EQ(answer("01A").error().reason, "not_ended");
  EXPECT_EQ(queue().depth(kResize.id).waiting, 1U);
  EXPECT_EQ(redrive("01A").error().reason, "not_failed");

  const Lease again = take();
  EXPECT_EQ(again.attempt, 3);  // numbers go on, what was spent does not count
  EXPECT_EQ(again.spent, 0);
  EXPECT_EQ(again.expires_at, clock_.now() + hours(6));
  EXPECT_TRUE(bytes_of(again.body) == binary(70'000));
  ASSERT_TRUE(settle(again, succeeded(again, "yes")));
  EXPECT_EQ(state_of("01A"), State::kSucceeded);
  EXPECT_EQ(bytes_of(*answer("01A")->body, 100), "yes");
}

TEST_P(SettleTest, AnExpiredOneIsRunAgain) {
  Submission wanted = submission(kResize, "01A");
  wanted.expires_at = now() + seconds(1);
  wanted.callback_url = "https://example.com/";
  accept(std::move(wanted));
  pass(seconds(2));
  until([&] { return !watcher_.settled.empty(); });
  ASSERT_TRUE(redrive("01A"));
  EXPECT_EQ(delivery_of("01A"), Delivery::kNone);
  EXPECT_FALSE(try_take_delivery());  // the answer that it would carry is no more
  pass(seconds(2));
  const Lease lease = take();
  ASSERT_TRUE(settle(lease, succeeded(lease, "after all")));
  EXPECT_EQ(bytes_of(take_delivery()), "after all");
}

TEST_P(SettleTest, OnlyWhatFailedIsRunAgain) {
  run(kResize, "01A");
  accept(kResize, "01B");
  EXPECT_EQ(redrive("01A").error().reason, "not_failed");
  EXPECT_EQ(redrive("01A").error().code, Code::kConflict);
  EXPECT_EQ(redrive("01B").error().reason, "not_failed");
  ASSERT_TRUE(cancel("01B"));
  EXPECT_EQ(redrive("01B").error().reason, "not_failed");
  EXPECT_EQ(redrive("01C").error().reason, "invocation_not_found");
  EXPECT_FALSE(try_take());
}

TEST_P(SettleTest, TwoRedrivesAreOneRun) {
  run_and_fail(kResize, "01A");
  std::vector<Status> ends;
  for (int i = 0; i < 2; ++i) {
    queue().redrive(kResize.id, "01A", {.expires_at = now() + hours(1)},
                    [&](Status status) { ends.push_back(std::move(status)); });
  }
  until([&] { return ends.size() == 2; });
  EXPECT_NE(ends[0].has_value(), ends[1].has_value());
  EXPECT_THAT(take_all(), ElementsAre("01A"));
}

TEST_P(SettleTest, ARedriveNeedsRoomInTheBacklog) {
  open({.function_backlog = 3, .space_backlog = 3});
  run_and_fail(kResize, "01A");
  accept(kResize, "01B");
  accept(kMail, "01C");
  const auto with_room_for = [&](std::size_t backlog) {
    return answer_of<void>([&](auto done) {
      queue().redrive(kResize.id, "01A", {.expires_at = now() + hours(1), .space_backlog = backlog},
                      std::move(done));
    });
  };
  const Status full = with_room_for(2);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().reason, "backlog_full");
  EXPECT_EQ(full.error().code, Code::kExhausted);
  EXPECT_EQ(state_of("01A"), State::kFailed);
  EXPECT_TRUE(with_room_for(3));
  EXPECT_EQ(queue().depth(kResize.id).waiting, 2U);
}

TEST_P(SettleTest, NothingOfADeletedFunctionIsRedriven) {
  run_and_fail(kResize, "01A");
  queue().forget(kResize.id);
  EXPECT_EQ(redrive("01A").error().reason, "function_not_found");
  EXPECT_EQ(state_of("01A"), State::kFailed);
  EXPECT_EQ(queue().depth(kResize.id).waiting, 0U);
}

TEST_P(SettleTest, NothingOfADeletedFunctionRuns) {
  const std::string ended = run(kResize, "01ENDED", "https://example.com/");
  accept(kResize, "01RUNS");
  const Lease lease = take();
  accept(kResize, "01READY");
  Submission later = submission(kResize, "01DELAYED");
  later.not_before = now() + seconds(10);
  accept(std::move(later));
  accept(kMail, "01OTHER");

  queue().forget(kResize.id);
  EXPECT_THAT(watcher_.revoked, ElementsAre(lease.receipt));
  until([&] { return state_of("01RUNS") == State::kCancelled; });
  for (const char* id : {"01RUNS", "01READY", "01DELAYED"}) {
    const auto record = find(id);
    EXPECT_EQ(record->state, State::kCancelled) << id;
    EXPECT_EQ(record->reason, "function_deleted") << id;
    EXPECT_EQ(record->ended_at, now()) << id;
  }
  EXPECT_EQ(settle(lease, succeeded(lease, "late")).error().reason, "stale_receipt");
  EXPECT_EQ(queue().depth(kResize.id).waiting, 0U);
  pass(seconds(20));
  EXPECT_THAT(take_all(), ElementsAre("01OTHER"));
  EXPECT_EQ(state_of(ended), State::kSucceeded);
  EXPECT_EQ(take_delivery().id, ended);  // what was promised is sent
  queue().forget("01NOBODY");
}

TEST_P(SettleTest, WhatHasEndedIsKeptForATime) {
  open({.keep_settled = hours(1)});
  run(kResize, "01A");
  run(kResize, "01B", "https://example.com/");
  accept(kResize, "01C");
  pass(minutes(59));
  pass(seconds(2));
  EXPECT_EQ(state_of("01A"), State::kSucceeded);
  pass(minutes(2));
  until([&] {
    pass(seconds(2));
    return !find("01A");
  });
  EXPECT_EQ(find("01A").error().reason, "invocation_not_found");
  EXPECT_EQ(state_of("01B"), State::kSucceeded);  // its callback has still to be sent
  EXPECT_EQ(state_of("01C"), State::kQueued);
  EXPECT_EQ(accept(kResize, "01A"), "01A");
}

TEST_P(SettleTest, AnAnswerIsKeptAsLongAsItsKey) {
  open({.keep_settled = hours(1)});
  Submission keyed = submission(kResize, "01A");
  keyed.idempotency = IdempotencyKey{.key = "key", .fingerprint = "print", .forgotten_at = now() + hours(24)};
  accept(std::move(keyed));
  const Lease lease = take();
  ASSERT_TRUE(settle(lease, succeeded(lease, "answer")));
  run(kResize, "01B");
  pass(hours(23));
  until([&] {
    pass(seconds(2));
    return !find("01B");
  });
  EXPECT_EQ(state_of("01A"), State::kSucceeded);
  pass(hours(1));
  until([&] {
    pass(seconds(2));
    return !find("01A");
  });
}

TEST_P(SettleTest, WhatWasRefusedWithoutARunLetsGoOfItsKey) {
  const auto keyed = [&](std::string id) {
    Submission made = submission(kResize, std::move(id));
    made.turn = Turn::kAtOnce;
    made.idempotency =
        IdempotencyKey{.key = "key", .fingerprint = "print", .forgotten_at = now() + hours(24)};
    return made;
  };
  accept(keyed("01A"));
  const auto lease = try_take(kLease, Turn::kAtOnce);
  ASSERT_TRUE(lease && *lease);
  Settlement refused = failed(**lease, "no worker");
  refused.attempt.reset();
  refused.state = State::kExpired;
  refused.reason = "no_capacity";
  ASSERT_TRUE(settle(**lease, std::move(refused)));
  const auto record = find("01A");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->state, State::kExpired);
  EXPECT_EQ(record->reason, "no_capacity");
  EXPECT_EQ(record->status_code, 500);
  EXPECT_EQ(record->started_at, std::nullopt);
  EXPECT_THAT(record->attempts, IsEmpty());
  EXPECT_EQ(bytes_of(*answer("01A")->body, 100), "no worker");

  EXPECT_FALSE(enqueue(keyed("01B"))->repeated);
  EXPECT_EQ(enqueue(keyed("01C"))->id, "01B");
  ASSERT_TRUE(redrive("01A"));  // as every one that has expired, and then in line
  EXPECT_EQ(take().id, "01A");
}

TEST_P(SettleTest, WhatExpiresInNoLineLetsGoOfItsKeyAndWhatExpiresInLineDoesNot) {
  for (const Turn turn : {Turn::kAtOnce, Turn::kInLine}) {
    const bool at_once = turn == Turn::kAtOnce;
    const std::string id = at_once ? "01A" : "01B";
    const auto keyed = [&](std::string call) {
      Submission made = submission(kResize, std::move(call));
      made.turn = turn;
      made.expires_at = now() + seconds(5);
      made.idempotency = IdempotencyKey{.key = id, .fingerprint = "print", .forgotten_at = now() + hours(24)};
      return made;
    };
    accept(keyed(id));
    pass(seconds(6));
    until([&] { return state_of(id) == State::kExpired; });
    EXPECT_EQ(enqueue(keyed(id + "2"))->repeated, !at_once) << id;
  }
}

TEST_P(SettleTest, WhatIsCancelledInNoLineBeforeItRanLetsGoOfItsKey) {
  const auto keyed = [&](std::string id, const std::string& key, Turn turn = Turn::kAtOnce) {
    Submission made = submission(kResize, std::move(id));
    made.turn = turn;
    made.idempotency = IdempotencyKey{.key = key, .fingerprint = "print", .forgotten_at = now() + hours(24)};
    return made;
  };
  accept(keyed("01A", "waits"));
  ASSERT_TRUE(cancel("01A"));
  EXPECT_FALSE(enqueue(keyed("01B", "waits"))->repeated);

  const auto leased = try_take(kLease, Turn::kAtOnce);
  ASSERT_TRUE(leased && *leased);
  ASSERT_TRUE(cancel("01B"));  // in the dispatcher's hands, without a worker
  EXPECT_FALSE(enqueue(keyed("01C", "waits"))->repeated);

  const auto runs = try_take(kLease, Turn::kAtOnce);
  ASSERT_TRUE(runs && *runs);
  watcher_.running = (*runs)->receipt;
  watcher_.interrupted = Interruption{.attempt = attempt(**runs, 0), .version = 1};
  ASSERT_TRUE(cancel("01C"));
  EXPECT_EQ(enqueue(keyed("01D", "waits"))->id, "01C");

  // Who was told 202 asks for that call again, and must not bring it back by it.
  accept(keyed("01E", "line", Turn::kInLine));
  ASSERT_TRUE(cancel("01E"));
  EXPECT_EQ(enqueue(keyed("01F", "line", Turn::kInLine))->id, "01E");

  // Nobody knows whether a server before had begun it.
  accept(keyed("01G", "before"));
  reopen();
  ASSERT_TRUE(cancel("01G"));
  EXPECT_EQ(enqueue(keyed("01H", "before"))->id, "01G");
}

}  // namespace
}  // namespace sterna::queue::testing
