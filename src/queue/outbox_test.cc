// Callbacks: each is sent until it has an end.
#include "queue/testing/conformance.h"
#include "wire/messages.h"

namespace sterna::queue::testing {
namespace {

using ::testing::ElementsAre;

constexpr const char* kHook = "https://example.com/hook";

class OutboxTest : public Conformance {
 protected:
  DeliveryAttempt tried(std::string outcome, std::optional<int> status) {
    return {.at = now(), .outcome = std::move(outcome), .status_code = status, .detail = "detail"};
  }
  void end(const DueDelivery& due, Delivery state, int status) {
    outbox().end_delivery(
        due.seq, {.tried = tried(std::string(to_string(state)), status), .again_at = {}, .end = state});
  }
  void again(const DueDelivery& due, WallTime at) {
    outbox().end_delivery(due.seq, {.tried = tried("retry", 503), .again_at = at, .end = {}});
  }
  static std::vector<std::string> headers_of(const DueDelivery& due) {
    std::vector<std::string> headers;
    std::string_view name;
    std::string_view value;
    for (wire::HeaderWalk walk(due.headers, due.header_count); walk.next(name, value);)
      headers.push_back(std::string(name) + ": " + std::string(value));
    return headers;
  }
  void until_logged(const std::string& id, std::size_t entries) {
    until([&] { return find(id)->deliveries.size() == entries; });
  }
};
INSTANTIATE_TEST_SUITE_P(Queues, OutboxTest, ::testing::ValuesIn(implementations()), name_of);

TEST_P(OutboxTest, TellsAllThatACallbackCarries) {
  Submission wanted = submission(kResize, "01A");
  wanted.callback_url = kHook;
  accept(std::move(wanted));
  const Lease lease = take();
  Settlement settlement = succeeded(lease, "answer");
  const Attempt made = *settlement.attempt;
  ASSERT_TRUE(settle(lease, std::move(settlement)));
  EXPECT_EQ(watcher_.settled.at(0).callback, Delivery::kPending);
  EXPECT_GT(deliveries_wanted_, 0);
  EXPECT_EQ(outbox().pending_deliveries(), 1U);
  EXPECT_EQ(delivery_of("01A"), Delivery::kPending);

  for (int opened = 0; opened < 2; ++opened) {
    const DueDelivery due = take_delivery();
    EXPECT_EQ(due.function, kResize);
    EXPECT_EQ(due.id, "01A");
    EXPECT_EQ(due.callback_url, kHook);
    EXPECT_EQ(due.status_code, 200);
    EXPECT_EQ(due.attempt, 1);
    EXPECT_EQ(due.started_at, made.started_at);
    EXPECT_EQ(due.duration, made.duration);
    EXPECT_EQ(due.tried, 0);
    EXPECT_EQ(due.header_count, 2U);
    EXPECT_EQ(due.headers, "headers");
    EXPECT_EQ(bytes_of(due), "answer");
    reopen();  // what was being sent is sent again
  }
}

TEST_P(OutboxTest, SendsBodiesOfEverySize) {
  int number = 0;
  for (const std::size_t size : {0U, 1U, 65'536U, 65'537U, 262'145U, 6U << 20U}) {
    Submission wanted = submission(kResize, "01SIZE" + std::to_string(number++));
    wanted.callback_url = kHook;
    accept(std::move(wanted));
    const Lease lease = take();
    ASSERT_TRUE(settle(lease, succeeded(lease, binary(size))));
    const DueDelivery due = take_delivery();
    EXPECT_TRUE(bytes_of(due) == binary(size)) << size << " bytes";
    EXPECT_EQ(due.header_count, 2U);
    end(due, Delivery::kDelivered, 200);
  }
}

TEST_P(OutboxTest, NoUrlNoCallback) {
  run(kResize, "01A");
  EXPECT_EQ(outbox().pending_deliveries(), 0U);
  EXPECT_FALSE(try_take_delivery());
  EXPECT_EQ(deliveries_wanted_, 0);
}

TEST_P(OutboxTest, ADeliveredOneIsDone) {
  run(kResize, "01A", kHook);
  const DueDelivery due = take_delivery();
  EXPECT_FALSE(try_take_delivery());  // nobody else gets it
  pass(hours(1));
  EXPECT_FALSE(try_take_delivery());
  const WallTime sent = now();
  end(due, Delivery::kDelivered, 204);
  until_logged("01A", 1);
  const auto record = find("01A");
  EXPECT_EQ(record->delivery, Delivery::kDelivered);
  EXPECT_EQ(record->deliveries[0].at, sent);
  EXPECT_EQ(record->deliveries[0].outcome, "delivered");
  EXPECT_EQ(record->deliveries[0].status_code, 204);
  EXPECT_EQ(record->deliveries[0].detail, "detail");
  until([&] { return outbox().pending_deliveries() == 0; });
  pass(hours(1));
  EXPECT_FALSE(try_take_delivery());
  reopen();
  EXPECT_EQ(outbox().pending_deliveries(), 0U);
  EXPECT_FALSE(try_take_delivery());
}

TEST_P(OutboxTest, AFailedTryIsRepeatedInTime) {
  run(kResize, "01A", kHook);
  again(take_delivery(), now() + seconds(30));
  until_logged("01A", 1);
  EXPECT_EQ(delivery_of("01A"), Delivery::kPending);
  EXPECT_EQ(outbox().pending_deliveries(), 1U);
  EXPECT_FALSE(try_take_delivery());
  pass(seconds(29));
  EXPECT_FALSE(try_take_delivery());
  const int wanted = deliveries_wanted_;
  pass(milliseconds(1100));
  EXPECT_GT(deliveries_wanted_, wanted);
  const DueDelivery due = take_delivery();
  EXPECT_EQ(due.tried, 1);
  EXPECT_EQ(bytes_of(due), "answer");
  end(due, Delivery::kUndeliverable, 410);
  until_logged("01A", 2);
  EXPECT_EQ(delivery_of("01A"), Delivery::kUndeliverable);
  EXPECT_EQ(state_of("01A"), State::kSucceeded);  // of the run
}

TEST_P(OutboxTest, TheScheduleIsKeptThroughARestart) {
  run(kResize, "01A", kHook);
  again(take_delivery(), now() + minutes(1));
  until_logged("01A", 1);
  reopen();
  EXPECT_EQ(outbox().pending_deliveries(), 1U);
  EXPECT_FALSE(try_take_delivery());
  pass(minutes(1) + seconds(1));
  EXPECT_EQ(take_delivery().tried, 1);
}

TEST_P(OutboxTest, AWallClockThatIsSetBackHoldsNoCallbackBack) {
  run(kResize, "01A", kHook);
  run(kResize, "01B", kHook);
  again(take_delivery(), now() + seconds(30));
  until_logged("01A", 1);
  clock_.jump(-minutes(120));
  EXPECT_EQ(take_delivery().id, "01B");
  EXPECT_FALSE(try_take_delivery());
  pass(seconds(31));
  EXPECT_EQ(take_delivery().id, "01A");
}

TEST_P(OutboxTest, TheOneThatIsDueForLongestGoesFirst) {
  run(kResize, "01A", kHook);
  again(take_delivery(), now() + minutes(2));
  until_logged("01A", 1);
  run(kResize, "01B", kHook);
  again(take_delivery(), now() + minutes(1));
  until_logged("01B", 1);
  pass(minutes(3));
  run(kResize, "01C", kHook);
  std::vector<std::string> order;
  while (auto due = try_take_delivery()) order.push_back((*due)->id);
  EXPECT_THAT(order, ElementsAre("01B", "01A", "01C"));
}

TEST_P(OutboxTest, WhatWasNotSentIsNoTry) {
  run(kResize, "01A", kHook);
  outbox().end_delivery(take_delivery().seq, {.tried = {}, .again_at = now() + seconds(5), .end = {}});
  pass(seconds(4));
  EXPECT_FALSE(try_take_delivery());
  pass(milliseconds(1200));
  const DueDelivery due = take_delivery();
  EXPECT_EQ(due.tried, 0);
  outbox().end_delivery(due.seq, {.tried = {}, .again_at = {}, .end = Delivery::kUndeliverable});
  until([&] { return delivery_of("01A") == Delivery::kUndeliverable; });
  EXPECT_TRUE(find("01A")->deliveries.empty());
}

TEST_P(OutboxTest, SendsAgainWhenAsked) {
  run(kResize, "01A", kHook);
  const DueDelivery first = take_delivery();
  again(first, now());
  pass(seconds(1));
  until_logged("01A", 1);
  pass(seconds(1));
  end(take_delivery(), Delivery::kUndeliverable, 404);
  until_logged("01A", 2);

  const int wanted = deliveries_wanted_;
  ASSERT_TRUE(redeliver("01A"));
  EXPECT_GT(deliveries_wanted_, wanted);
  EXPECT_EQ(delivery_of("01A"), Delivery::kPending);
  const DueDelivery due = take_delivery();
  EXPECT_EQ(due.tried, 0);  // afresh
  EXPECT_EQ(bytes_of(due), "answer");
  end(due, Delivery::kDelivered, 200);
  until_logged("01A", 3);
  EXPECT_EQ(delivery_of("01A"), Delivery::kDelivered);
  ASSERT_TRUE(redeliver("01A"));  // a delivered one too
  EXPECT_EQ(take_delivery().id, "01A");
}

TEST_P(OutboxTest, SendsAtOnceWhatWaitsForItsNextTry) {
  run(kResize, "01A", kHook);
  again(take_delivery(), now() + hours(1));
  until_logged("01A", 1);
  ASSERT_TRUE(redeliver("01A"));
  EXPECT_EQ(take_delivery().tried, 0);
  EXPECT_EQ(outbox().pending_deliveries(), 1U);
}

TEST_P(OutboxTest, WhatIsBeingSentNeedsNoSecond) {
  run(kResize, "01A", kHook);
  const DueDelivery due = take_delivery();
  ASSERT_TRUE(redeliver("01A"));
  EXPECT_FALSE(try_take_delivery());
  end(due, Delivery::kDelivered, 200);
  until([&] { return delivery_of("01A") == Delivery::kDelivered; });
  EXPECT_FALSE(try_take_delivery());
}

TEST_P(OutboxTest, RefusesToSendWhatThereIsNot) {
  Submission wanted = submission(kResize, "01A");
  wanted.callback_url = kHook;
  accept(std::move(wanted));
  EXPECT_EQ(redeliver("01A").error().reason, "not_ended");
  EXPECT_EQ(redeliver("01A").error().code, Code::kConflict);
  ASSERT_TRUE(cancel("01A"));
  EXPECT_EQ(redeliver("01A").error().reason, "no_callback");  // a cancelled one has no answer
  run(kResize, "01B");
  EXPECT_EQ(redeliver("01B").error().reason, "no_callback");
  EXPECT_EQ(redeliver("01C").error().reason, "invocation_not_found");
  EXPECT_EQ(outbox().pending_deliveries(), 0U);
}

TEST_P(OutboxTest, SendsTheAnswerOfTheRunAfterARedrive) {
  run_and_fail(kResize, "01A", kHook);
  ASSERT_TRUE(redrive("01A"));  // before its callback was sent
  EXPECT_EQ(outbox().pending_deliveries(), 0U);
  EXPECT_FALSE(try_take_delivery());
  const Lease lease = take();
  ASSERT_TRUE(settle(lease, succeeded(lease, "second")));
  const DueDelivery due = take_delivery();
  EXPECT_EQ(due.status_code, 200);
  EXPECT_EQ(due.attempt, 2);
  EXPECT_EQ(bytes_of(due), "second");
}

TEST_P(OutboxTest, WhatExpiresAfterARedriveHasAllItsTries) {
  run_and_fail(kResize, "01A", kHook);
  again(take_delivery(), now() + seconds(1));
  until_logged("01A", 1);
  pass(seconds(2));
  end(take_delivery(), Delivery::kUndeliverable, 500);
  until_logged("01A", 2);
  ASSERT_TRUE(redrive("01A"));
  pass(hours(7));
  until([&] { return state_of("01A") == State::kExpired; });
  const DueDelivery due = take_delivery();
  EXPECT_EQ(due.status_code, 504);
  EXPECT_EQ(due.tried, 0);
  EXPECT_EQ(due.duration, Duration::zero());  // it is no run's
  EXPECT_EQ(due.started_at, find("01A")->ended_at);
  EXPECT_EQ(headers_of(due),
            (std::vector<std::string>{"Content-Type: application/problem+json", "X-Sterna-Fault: platform"}));
}

TEST_P(OutboxTest, ItsPatienceCountsByTheClockThatDoesNotJump) {
  run(kResize, "01A", kHook);
  const MonotonicTime since = clock_.now();
  pass(seconds(2));
  DueDelivery due = take_delivery();
  EXPECT_EQ(due.since, since);
  clock_.jump(minutes(40));
  outbox().end_delivery(due.seq, {.tried = {}, .again_at = now() + seconds(1), .end = {}});
  pass(seconds(2));
  due = take_delivery();
  EXPECT_EQ(due.since, since);
  again(due, now() + seconds(1));
  until_logged("01A", 1);
  // What it waited for while no server ran does not count.
  reopen();
  const MonotonicTime begun = clock_.now();
  pass(seconds(2));
  due = take_delivery();
  EXPECT_EQ(due.since, begun);
  end(due, Delivery::kUndeliverable, 404);
  until_logged("01A", 2);
  ASSERT_TRUE(redeliver("01A"));
  EXPECT_EQ(take_delivery().since, clock_.now());
}

TEST_P(OutboxTest, TheEndOfAnEarlierAnswersCallbackIsNotThatOfTheNew) {
  run_and_fail(kResize, "01A", kHook);
  const DueDelivery before = take_delivery();
  ASSERT_TRUE(redrive("01A"));
  const Lease lease = take();
  ASSERT_TRUE(settle(lease, succeeded(lease, "second")));
  EXPECT_EQ(outbox().pending_deliveries(), 1U);
  EXPECT_FALSE(try_take_delivery());  // one at a time
  const int wanted = deliveries_wanted_;
  end(before, Delivery::kDelivered, 200);
  until([&] { return deliveries_wanted_ > wanted; });
  const DueDelivery due = take_delivery();
  EXPECT_EQ(bytes_of(due), "second");
  EXPECT_EQ(delivery_of("01A"), Delivery::kPending);
  EXPECT_TRUE(find("01A")->deliveries.empty());
  end(due, Delivery::kDelivered, 200);
  until_logged("01A", 1);
  EXPECT_EQ(delivery_of("01A"), Delivery::kDelivered);
  EXPECT_EQ(outbox().pending_deliveries(), 0U);
}

TEST_P(OutboxTest, RedrivenWhileItsCallbackIsTaken) {
  for (const bool redrive_first : {true, false}) {
    const std::string id = redrive_first ? "01A" : "01B";
    run_and_fail(kResize, id, kHook);
    reopen();  // so that it has to be read
    std::vector<Result<DueDelivery>> taken;
    std::vector<Status> redriven;
    const auto do_redrive = [&] {
      queue().redrive(kResize.id, id, {.expires_at = now() + hours(1)},
                      [&](Status status) { redriven.push_back(std::move(status)); });
    };
    if (redrive_first) do_redrive();
    ASSERT_TRUE(outbox().take_delivery([&](Result<DueDelivery> due) { taken.push_back(std::move(due)); }));
    if (!redrive_first) do_redrive();
    until([&] { return !taken.empty() && !redriven.empty(); });
    ASSERT_TRUE(redriven[0]);
    const Lease lease = take();
    ASSERT_TRUE(settle(lease, succeeded(lease, "second")));
    if (taken[0]) end(*taken[0], Delivery::kDelivered, 200);
    until([&] {
      auto next = try_take_delivery();
      if (next) taken.push_back(std::move(*next));
      return taken.size() == 2;
    });
    ASSERT_TRUE(taken[1]);
    EXPECT_EQ(bytes_of(*taken[1]), "second");
    end(*taken[1], Delivery::kDelivered, 200);
    until([&] { return delivery_of(id) == Delivery::kDelivered; });
  }
}

TEST_P(OutboxTest, WhatIsRunAgainEndsItsDelivery) {
  run_and_fail(kResize, "01A", kHook);
  const DueDelivery due = take_delivery();
  EXPECT_EQ(due.status_code, 500);
  ASSERT_TRUE(redrive("01A"));
  EXPECT_EQ(delivery_of("01A"), Delivery::kNone);
  EXPECT_EQ(outbox().pending_deliveries(), 0U);
  end(due, Delivery::kDelivered, 200);  // of no effect: another answer will have to be sent
  const Lease lease = take();
  ASSERT_TRUE(settle(lease, succeeded(lease, "second")));
  EXPECT_EQ(delivery_of("01A"), Delivery::kPending);
  const DueDelivery second = take_delivery();
  EXPECT_EQ(bytes_of(second), "second");
  EXPECT_EQ(second.attempt, 2);
  EXPECT_EQ(second.tried, 0);
}

}  // namespace
}  // namespace sterna::queue::testing
