#include "dispatch/settle_policy.h"

#include <gtest/gtest.h>

namespace sterna::dispatch {
namespace {

using namespace std::chrono_literals;
using Kind = AttemptEnd::Kind;
using Next = Decision::Next;

AttemptContext context(std::int64_t spent = 0, std::int64_t max_attempts = 0, Duration left = 6h) {
  return {.spent = spent, .max_attempts = max_attempts, .left = left, .random = 0.5};
}

AttemptEnd answered(int status) {
  return {.kind = Kind::kAnswered, .status_code = status, .reason = {}, .retry_after = {}};
}

AttemptEnd raised() {
  return {.kind = Kind::kFailed, .status_code = 500, .reason = "function_raised", .retry_after = {}};
}

TEST(Decide, AnAnswerIsFinalUnlessItsStatusIsListed) {
  for (const int status : {200, 204, 302, 400, 404, 500, 501}) {
    const Decision decision = decide(answered(status), {}, context());
    EXPECT_EQ(decision.next, Next::kSettle) << status;
    EXPECT_EQ(decision.state, queue::State::kSucceeded) << status;
  }
  for (const int status : {408, 425, 429, 502, 503, 504}) {
    const Decision decision = decide(answered(status), {}, context());
    EXPECT_EQ(decision.next, Next::kRetry) << status;
    EXPECT_EQ(decision.reason, "retryable_status");
  }
}

TEST(Decide, FailuresAreRetriedUntilTheAttemptsAreSpent) {
  EXPECT_EQ(decide(raised(), {}, context(0)).next, Next::kRetry);
  EXPECT_EQ(decide(raised(), {}, context(1)).next, Next::kRetry);
  const Decision last = decide(raised(), {}, context(2));
  EXPECT_EQ(last.next, Next::kSettle);
  EXPECT_EQ(last.state, queue::State::kFailed);
  EXPECT_EQ(last.reason, "function_raised");
  EXPECT_EQ(decide(answered(503), {}, context(2)).state, queue::State::kFailed);
}

TEST(Decide, TheInvocationsOwnLimitComesFirst) {
  EXPECT_EQ(decide(raised(), {}, context(0, 1)).state, queue::State::kFailed);
}

TEST(Decide, FaultsOfThePlatformAreNoAttempts) {
  const Decision decision =
      decide({.kind = Kind::kPlatformFault, .reason = "no_capacity", .retry_after = {}}, {}, context(2));
  EXPECT_EQ(decision.next, Next::kGiveBack);
  EXPECT_GT(decision.wait, 0s);
}

TEST(Decide, WhatCouldNotBeKeptIsRunAgainLessAndLessOften) {
  const AttemptEnd unkept{.kind = Kind::kUnkept, .reason = "result_not_kept", .retry_after = {}};
  AttemptContext ends = context(2);  // out of attempts otherwise
  for (const auto& [before, wait] :
       {std::pair(0, 1s), std::pair(1, 2s), std::pair(5, 32s), std::pair(99, 60s)}) {
    ends.unspent = before;
    const Decision decision = decide(unkept, {}, ends);
    EXPECT_EQ(decision.next, Next::kRetry);
    EXPECT_EQ(decision.cost, queue::Cost::kFree);
    EXPECT_EQ(decision.wait, wait) << before;
    EXPECT_EQ(decision.reason, "result_not_kept");
  }
  ends.left = 60s;
  EXPECT_EQ(decide(unkept, {}, ends).state, queue::State::kFailed);
  ends.left = 6h;
  ends.turn = queue::Turn::kAtOnce;  // its caller waits
  EXPECT_EQ(decide(unkept, {}, ends).next, Next::kSettle);
  EXPECT_EQ(decide(unkept, {}, ends).state, queue::State::kFailed);
}

TEST(Decide, WhatIsTooLargeStaysTooLarge) {
  const Decision decision =
      decide({.kind = Kind::kTooLarge, .reason = kResultTooLarge, .retry_after = {}}, {}, context());
  EXPECT_EQ(decision.next, Next::kSettle);
  EXPECT_EQ(decision.state, queue::State::kFailed);
  EXPECT_EQ(decision.reason, "result_too_large");
}

TEST(Decide, TheFunctionsRetryAfterIsHonoured) {
  AttemptEnd end = answered(503);
  end.retry_after = 90s;
  EXPECT_EQ(decide(end, {}, context()).wait, 90s);
  end.retry_after = 0s;
  EXPECT_EQ(decide(end, {}, context()).wait, 500ms);
}

TEST(Decide, ARetryAfterTheEndIsNone) {
  AttemptEnd end = answered(503);
  end.retry_after = 90s;
  EXPECT_EQ(decide(end, {}, context(0, 0, 60s)).state, queue::State::kFailed);
}

TEST(Backoff, DoublesUpToItsBoundWithFullJitter) {
  EXPECT_EQ(backoff(1, 1s, 60s, 0), 0s);
  EXPECT_EQ(backoff(1, 1s, 60s, 0.5), 500ms);
  EXPECT_EQ(backoff(4, 1s, 60s, 0.5), 4s);
  EXPECT_EQ(backoff(7, 1s, 60s, 0.5), 30s);
  EXPECT_EQ(backoff(1'000'000, 1s, 60s, 0.5), 30s);
}

TEST(Decide, WhoWaitsAsForASynchronousCallIsToldOfAFaultAtOnce) {
  AttemptContext waits = context(0, 1);
  waits.turn = queue::Turn::kAtOnce;
  const Decision refused =
      decide({.kind = Kind::kPlatformFault, .reason = "no_capacity", .retry_after = {}, .was_begun = false},
             {}, waits);
  EXPECT_EQ(refused.next, Next::kRefuse);
  EXPECT_EQ(refused.state, queue::State::kExpired);
  EXPECT_EQ(refused.reason, "no_capacity");
  const Decision broken =
      decide({.kind = Kind::kPlatformFault, .reason = "function_not_running", .retry_after = {}}, {}, waits);
  EXPECT_EQ(broken.next, Next::kSettle);  // it has run, so its key stands for that
  EXPECT_EQ(broken.state, queue::State::kFailed);
}

}  // namespace
}  // namespace sterna::dispatch
