#include "dispatch/delivery_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "callback/verdict.h"

namespace sterna::dispatch {
namespace {

using namespace std::chrono_literals;
using callback::PostResult;
using callback::Verdict;
using queue::Delivery;
using ::testing::ElementsAre;

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};

queue::DeliveryEnd after(const PostResult& result, std::int64_t tried = 0, double random = 0.5) {
  return decide(result, {.tried = tried, .max_attempts = 8, .now = kNow, .random = random});
}

// The pauses between the eight tries of a receiver that does not answer.
std::vector<Duration> pauses(double random) {
  const PostResult silent{.verdict = Verdict::kRetry, .status_code = {}, .detail = "gone", .retry_after = {}};
  std::vector<Duration> pauses;
  for (std::int64_t tried = 0; const auto again_at = after(silent, tried, random).again_at; ++tried)
    pauses.emplace_back(*again_at - kNow);
  return pauses;
}

TEST(DecideDelivery, DeliveredIsTheEnd) {
  const auto end =
      after({.verdict = Verdict::kDelivered, .status_code = 204, .detail = {}, .retry_after = {}});
  EXPECT_FALSE(end.again_at);
  EXPECT_EQ(end.end, Delivery::kDelivered);
  EXPECT_EQ(end.tried->outcome, "delivered");
  EXPECT_EQ(end.tried->status_code, 204);
}

TEST(DecideDelivery, ARetryComesLaterAndLater) {
  const PostResult busy{.verdict = Verdict::kRetry, .status_code = 503, .detail = "busy", .retry_after = {}};
  EXPECT_EQ(after(busy, 0).again_at, kNow + 750ms);
  EXPECT_EQ(after(busy, 3).again_at, kNow + 48s);
  EXPECT_EQ(after(busy, 3).tried->outcome, "retry");
  EXPECT_EQ(after(busy, 3).tried->detail, "busy");
}

TEST(DecideDelivery, EightTriesReachTheLongestPauseAndTakeWellOverTenMinutes) {
  EXPECT_THAT(pauses(0), ElementsAre(500ms, 2s, 8s, 32s, 128s, 300s, 300s));
  EXPECT_THAT(pauses(1), ElementsAre(1s, 4s, 16s, 64s, 256s, 600s, 600s));
  for (const double random : {0.0, 0.5, 1.0}) {
    Duration all{};
    for (const Duration pause : pauses(random)) all += pause;
    EXPECT_GT(all, 12min) << random;
    EXPECT_LT(all, 26min) << random;
  }
}

TEST(DecideDelivery, NoPauseIsLongerHoweverOftenItWasTried) {
  const PostResult silent{.verdict = Verdict::kRetry, .status_code = {}, .detail = "gone", .retry_after = {}};
  const auto end = decide(silent, {.tried = 1'000'000, .max_attempts = 2'000'000, .now = kNow, .random = 1});
  EXPECT_EQ(end.again_at, kNow + 10min);
}

TEST(DecideDelivery, TheReceiversRetryAfterIsHonoured) {
  const PostResult busy{.verdict = Verdict::kRetry, .status_code = 429, .detail = {}, .retry_after = 120s};
  EXPECT_EQ(after(busy).again_at, kNow + 120s);
}

TEST(DecideDelivery, NoReceiverMayKeepACallbackForever) {
  const PostResult busy{
      .verdict = Verdict::kRetry, .status_code = 429, .detail = {}, .retry_after = std::chrono::hours(9999)};
  EXPECT_EQ(after(busy).again_at, kNow + 24h);
}

TEST(DecideDelivery, TheLastTryEndsIt) {
  const auto end =
      after({.verdict = Verdict::kRetry, .status_code = {}, .detail = "gone", .retry_after = {}}, 7);
  EXPECT_FALSE(end.again_at);
  EXPECT_EQ(end.tried->outcome, "undeliverable");
  EXPECT_EQ(end.end, Delivery::kUndeliverable);
}

TEST(DecideDelivery, WhatCannotHelpIsNotTriedAgain) {
  const auto end =
      after({.verdict = Verdict::kUndeliverable, .status_code = 404, .detail = {}, .retry_after = {}});
  EXPECT_FALSE(end.again_at);
  EXPECT_EQ(end.end, Delivery::kUndeliverable);
}

TEST(DecideDelivery, WhatWasNotSentCostsNoTry) {
  const auto end = after(
      {.verdict = Verdict::kRetry, .status_code = {}, .detail = {}, .retry_after = 3s, .attempted = false},
      7);
  EXPECT_FALSE(end.tried);
  EXPECT_EQ(end.again_at, kNow + 3500ms);  // and up to a second, so that not all come back at once
}

TEST(DecideDelivery, ACallbackWaitsForADeadTargetAsLongAsAllItsTriesMayTake) {
  PostResult rests = callback::target_rests("the target rests after 9 failures in a row", 30s);
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(longest_wait(8));
  EXPECT_GT(wait, 26min);
  EXPECT_LT(wait, 1h);
  const auto at = [&](const PostResult& result, std::chrono::milliseconds age) {
    return decide(result, {.tried = 1, .max_attempts = 8, .waited = age, .now = kNow, .random = 0.5});
  };
  EXPECT_TRUE(at(rests, wait - 1h).again_at);
  EXPECT_EQ(at(rests, wait - 5s).again_at, kNow + 5s);  // not later than its end
  const auto end = at(rests, wait);
  EXPECT_FALSE(end.again_at);
  EXPECT_EQ(end.end, Delivery::kUndeliverable);
  EXPECT_EQ(end.tried->outcome, "undeliverable");
  EXPECT_THAT(end.tried->detail, ::testing::HasSubstr("the target has not answered"));
  EXPECT_THAT(end.tried->detail, ::testing::HasSubstr("rests after 9 failures"));

  // A target that answers, but slowly, is waited for.
  EXPECT_TRUE(at(callback::not_attempted("the target has its share", 30s), 24h).again_at);
}

}  // namespace
}  // namespace sterna::dispatch
