// What a queue takes in, and what it refuses.
#include <algorithm>

#include "api/problem.h"
#include "queue/testing/conformance.h"

namespace sterna::queue::testing {
namespace {

class AcceptTest : public Conformance {
 protected:
  Submission with_key(std::string id, std::string key, std::string fingerprint) {
    Submission wanted = submission(kResize, std::move(id));
    wanted.idempotency = IdempotencyKey{
        .key = std::move(key), .fingerprint = std::move(fingerprint), .forgotten_at = now() + hours(24)};
    return wanted;
  }
};
INSTANTIATE_TEST_SUITE_P(Queues, AcceptTest, ::testing::ValuesIn(implementations()), name_of);

TEST_P(AcceptTest, HandsOutAllThatWasHandedIn) {
  Submission wanted = submission(kResize, "01A", "body");
  wanted.request = binary(300);
  wanted.callback_url = "https://example.com/hook";
  wanted.max_attempts = 7;
  const WallTime accepted_at = now();
  const MonotonicTime expires_at = clock_.now() + hours(6);
  const auto accepted = enqueue(std::move(wanted));
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->id, "01A");
  EXPECT_EQ(accepted->state, State::kQueued);
  EXPECT_FALSE(accepted->repeated);
  EXPECT_GT(watcher_.ready, 0);
  EXPECT_EQ(watcher_.accepted, std::vector<std::string>{"resize"});

  const auto record = find("01A");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->function, kResize);
  EXPECT_EQ(record->id, "01A");
  EXPECT_EQ(record->state, State::kQueued);
  EXPECT_EQ(record->reason, "");
  EXPECT_EQ(record->status_code, 0);
  EXPECT_EQ(record->created_at, accepted_at);
  EXPECT_EQ(record->not_before, accepted_at);
  EXPECT_EQ(record->started_at, std::nullopt);
  EXPECT_EQ(record->ended_at, std::nullopt);
  EXPECT_TRUE(record->attempts.empty());
  EXPECT_EQ(record->callback_url, "https://example.com/hook");
  EXPECT_EQ(record->delivery, Delivery::kNone);

  pass(seconds(1));
  const Lease lease = take();
  EXPECT_EQ(lease.function, kResize);
  EXPECT_EQ(lease.id, "01A");
  EXPECT_EQ(lease.request, binary(300));
  EXPECT_EQ(bytes_of(lease.body), "body");
  EXPECT_EQ(lease.created_at, accepted_at);
  EXPECT_EQ(lease.expires_at, expires_at);
  EXPECT_EQ(lease.attempt, 1);
  EXPECT_EQ(lease.spent, 0);
  EXPECT_EQ(lease.max_attempts, 7);
  EXPECT_EQ(lease.callback_url, "https://example.com/hook");
  EXPECT_EQ(state_of("01A"), State::kRunning);
  EXPECT_EQ(find("01A")->started_at, now());
}

TEST_P(AcceptTest, TakesBodiesOfEverySize) {
  int number = 0;
  for (const std::size_t size : {0U, 1U, 65'535U, 65'536U, 65'537U, 262'145U, 6U << 20U}) {
    const std::string bytes = binary(size);
    Submission wanted = submission(kResize, "01SIZE" + std::to_string(number++), bytes);
    accept(std::move(wanted));
    for (int taken = 0; taken < 2; ++taken) {  // the body is there for every attempt
      const Lease lease = take();
      EXPECT_TRUE(bytes_of(lease.body) == bytes) << size << " bytes, taken " << taken;
      if (taken == 0) queue().give_back(lease.receipt, Duration::zero());
    }
  }
}

TEST_P(AcceptTest, RefusesACallIdThatTheFunctionHasSeen) {
  accept(kResize, "01A");
  EXPECT_EQ(enqueue(submission(kResize, "01A")).error().reason, "call_id_in_use");
  EXPECT_EQ(enqueue(submission(kResize, "01A")).error().code, Code::kConflict);
  accept(kMail, "01A");  // ids are a function's own
  const Lease lease = take();
  ASSERT_TRUE(settle(lease, succeeded(lease, "")));
  EXPECT_EQ(enqueue(submission(lease.function, "01A")).error().reason, "call_id_in_use");
  EXPECT_EQ(take_all().size(), 1U);
}

TEST_P(AcceptTest, AnswersARepeatedRequestWithTheFirstOne) {
  accept(with_key("01A", "key", "print"));
  const auto again = enqueue(with_key("01B", "key", "print"));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id, "01A");
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(find("01B").error().reason, "invocation_not_found");
  EXPECT_EQ(queue().depth(kResize.id).waiting, 1U);

  const Lease lease = take();
  EXPECT_EQ(lease.id, "01A");
  ASSERT_TRUE(settle(lease, succeeded(lease, "")));
  EXPECT_EQ(enqueue(with_key("01C", "key", "print"))->state, State::kSucceeded);
  EXPECT_EQ(watcher_.accepted.size(), 1U);
  EXPECT_FALSE(try_take());
}

TEST_P(AcceptTest, RefusesAnIdempotencyKeyWithAnotherRequest) {
  accept(with_key("01A", "key", "print"));
  const auto other = enqueue(with_key("01B", "key", "another"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().reason, "idempotency_key_reused");
  EXPECT_EQ(other.error().code, Code::kInvalid);
  EXPECT_EQ(api::http_status(other.error()), 422);
  EXPECT_EQ(find("01B").error().reason, "invocation_not_found");
  accept(with_key("01C", "another key", "another"));
  Submission elsewhere = with_key("01D", "key", "another");
  elsewhere.function = kMail;  // keys are a function's own
  EXPECT_FALSE(enqueue(std::move(elsewhere))->repeated);
}

TEST_P(AcceptTest, ForgetsIdempotencyKeysInTime) {
  accept(with_key("01A", "key", "print"));
  pass(hours(24) - milliseconds(1));
  EXPECT_TRUE(enqueue(with_key("01B", "key", "print"))->repeated);
  pass(milliseconds(1));
  const auto fresh = enqueue(with_key("01C", "key", "another"));
  ASSERT_TRUE(fresh);
  EXPECT_EQ(fresh->id, "01C");
  EXPECT_FALSE(fresh->repeated);
}

TEST_P(AcceptTest, ACallIdInUseTakesNoIdempotencyKey) {
  accept(kResize, "01A");
  EXPECT_EQ(enqueue(with_key("01A", "key", "print")).error().reason, "call_id_in_use");
  EXPECT_FALSE(enqueue(with_key("01B", "key", "another"))->repeated);
}

TEST_P(AcceptTest, KeepsBacklogsWithinTheirLimits) {
  open({.function_backlog = 2, .space_backlog = 3});
  accept(kResize, "01A");
  accept(kResize, "01B");
  const auto third = enqueue(submission(kResize, "01C"));
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().reason, "backlog_full");
  EXPECT_EQ(third.error().code, Code::kExhausted);
  EXPECT_EQ(find("01C").error().reason, "invocation_not_found");

  accept(kMail, "01D");
  EXPECT_EQ(enqueue(submission(kMail, "01E")).error().reason, "backlog_full");  // of the space
  accept(kLab, "01F");

  // What runs still counts, what has ended does not.
  const Lease lease = take();
  ASSERT_EQ(lease.function.space, "default");
  EXPECT_EQ(enqueue(submission(kMail, "01E")).error().reason, "backlog_full");
  ASSERT_TRUE(settle(lease, succeeded(lease, "")));
  accept(kMail, "01E");
  ASSERT_TRUE(cancel("01B"));
  accept(kResize, "01G");
}

TEST_P(AcceptTest, ManyThatComeAtTheSameTimeKeepWithinTheBacklog) {
  open({.space_backlog = 5});
  std::vector<Result<Accepted>> answers;
  for (int i = 0; i < 30; ++i) {
    queue().enqueue(submission(i % 3 == 0 ? kMail : kResize, "01A" + std::to_string(i)),
                    [&](Result<Accepted> answer) { answers.push_back(std::move(answer)); });
  }
  until([&] { return answers.size() == 30; });
  EXPECT_EQ(std::ranges::count_if(answers, [](const auto& answer) { return answer.has_value(); }), 5);
  EXPECT_EQ(queue().depth(kResize.id).waiting + queue().depth(kMail.id).waiting, 5U);
}

TEST_P(AcceptTest, ASpaceMayHaveABacklogOfItsOwn) {
  open({.function_backlog = 10, .space_backlog = 1});
  const auto with_room_for = [&](std::size_t backlog, const char* id) {
    Submission made = submission(kMail, id);
    made.space_backlog = backlog;
    return made;
  };
  accept(kResize, "01A");
  EXPECT_EQ(enqueue(submission(kMail, "01B")).error().reason, "backlog_full");
  accept(with_room_for(2, "01B"));
  EXPECT_EQ(enqueue(with_room_for(2, "01C")).error().reason, "backlog_full");
  accept(with_room_for(3, "01C"));
}

TEST_P(AcceptTest, NoRunBeginsBeforeItsTime) {
  Submission later = submission(kResize, "01A");
  later.not_before = now() + minutes(5);
  accept(std::move(later));
  accept(kResize, "01B");
  EXPECT_EQ(find("01A")->not_before, now() + minutes(5));
  EXPECT_EQ(take(hours(1)).id, "01B");
  EXPECT_FALSE(try_take());
  pass(minutes(5) - milliseconds(1));
  EXPECT_FALSE(try_take());
  EXPECT_EQ(state_of("01A"), State::kQueued);
  const int ready = watcher_.ready;
  pass(milliseconds(200));
  EXPECT_GT(watcher_.ready, ready);
  EXPECT_EQ(take().id, "01A");
}

TEST_P(AcceptTest, AFunctionThatIsGoneTakesNothing) {
  accept(kResize, "01A");
  queue().forget(kResize.id);
  const auto late = enqueue(submission(kResize, "01B"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kNotFound);
  EXPECT_EQ(late.error().reason, "function_not_found");
  EXPECT_FALSE(try_take());
}

TEST_P(AcceptTest, WhatIsBeingAcceptedWhenItsFunctionGoesIsRefused) {
  accept(kResize, "01A");
  std::optional<Result<Accepted>> late;
  queue().enqueue(with_key("01B", "key", "print"),
                  [&](Result<Accepted> answer) { late = std::move(answer); });
  queue().forget(kResize.id);
  until([&] { return late.has_value(); });
  ASSERT_FALSE(*late);
  EXPECT_EQ(late->error().reason, "function_not_found");
  EXPECT_EQ(watcher_.accepted.size(), 1U);
  EXPECT_EQ(queue().depth(kResize.id).waiting, 0U);
  EXPECT_FALSE(try_take());
}

TEST_P(AcceptTest, AKnownKeyIsAnsweredWhereThereIsNoRoomForMore) {
  open({.function_backlog = 1});
  accept(with_key("01A", "ended", "print"));
  const Lease lease = take();
  ASSERT_TRUE(settle(lease, succeeded(lease, "")));
  accept(with_key("01B", "waiting", "print"));
  for (const char* key : {"ended", "waiting"}) {
    const auto again = enqueue(with_key("01C", key, "print"));
    ASSERT_TRUE(again) << key << ": " << again.error().reason;
    EXPECT_TRUE(again->repeated) << key;
  }
  EXPECT_EQ(enqueue(with_key("01C", "waiting", "another")).error().reason, "idempotency_key_reused");
  EXPECT_EQ(enqueue(with_key("01C", "new", "print")).error().reason, "backlog_full");
  ASSERT_TRUE(cancel("01B"));
  EXPECT_FALSE(enqueue(with_key("01C", "new", "print"))->repeated);  // the refusal has taken no key
}

TEST_P(AcceptTest, WhoStandsInNoLineNeedsNoRoomInTheBacklog) {
  open({.function_backlog = 1, .space_backlog = 1});
  accept(kResize, "01A");
  Submission at_once = with_key("01B", "key", "print");
  at_once.turn = Turn::kAtOnce;
  accept(std::move(at_once));
}

}  // namespace
}  // namespace sterna::queue::testing
