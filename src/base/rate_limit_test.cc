#include "base/rate_limit.h"

#include <gtest/gtest.h>

namespace sterna {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RateLimit limit(double requests, std::int64_t burst = 0, std::int64_t bytes = 0) {
  return {.requests_per_second = requests, .burst = burst, .bytes_per_second = bytes};
}

// How many requests go through at once.
int count_at_once(Meter& meter, MonotonicTime now) {
  constexpr int kEnough = 1000;
  int count = 0;
  for (; count < kEnough && meter.requests_wait(now) == Duration::zero(); ++count) meter.take_request(now);
  return count;
}

TEST(TokenBucket, WithoutALimitNothingIsWaitedFor) {
  ManualClock clock;
  TokenBucket bucket;
  bucket.take(1e9, clock.now());
  EXPECT_EQ(bucket.wait(clock.now()), Duration::zero());
  EXPECT_FALSE(bucket.is_limited());
}

TEST(TokenBucket, SaysExactlyHowLong) {
  ManualClock clock;
  TokenBucket bucket(4, 2);
  EXPECT_EQ(bucket.wait(clock.now()), Duration::zero());
  bucket.take(2, clock.now());
  EXPECT_EQ(bucket.wait(clock.now()), milliseconds(250));
  clock.advance(milliseconds(249));
  EXPECT_GT(bucket.wait(clock.now()), Duration::zero());
  clock.advance(milliseconds(1));
  EXPECT_EQ(bucket.wait(clock.now()), Duration::zero());
}

TEST(TokenBucket, TheWaitThatItTellsIsAlwaysEnough) {
  ManualClock clock;
  for (const double rate : {0.001, 0.3, 1.0 / 3, 7.0, 9999.7}) {
    TokenBucket bucket(rate, 1);
    for (int i = 0; i < 50; ++i) {
      bucket.take(1, clock.now());
      clock.advance(bucket.wait(clock.now()));
      EXPECT_EQ(bucket.wait(clock.now()), Duration::zero()) << rate << " " << i;
    }
  }
}

TEST(TokenBucket, DebtIsWaitedForAndFullIsFull) {
  ManualClock clock;
  TokenBucket bucket(10, 10);
  bucket.take(59, clock.now());
  EXPECT_EQ(bucket.wait(clock.now()), seconds(5));
  EXPECT_FALSE(bucket.is_full(clock.now()));
  clock.advance(std::chrono::hours(1));
  EXPECT_TRUE(bucket.is_full(clock.now()));
  bucket.take(10, clock.now());
  EXPECT_EQ(bucket.wait(clock.now()), milliseconds(100));
}

TEST(TokenBucket, ALowerLimitIsWaitedForAsIfItHadBeenThereBefore) {
  ManualClock clock;
  TokenBucket bucket(300, 2000);
  bucket.take(1995, clock.now());
  bucket.change(1, 3, clock.now());
  EXPECT_EQ(bucket.wait(clock.now()), Duration::zero());
  bucket.take(3, clock.now());
  EXPECT_EQ(bucket.wait(clock.now()), seconds(1));
  bucket.change(0.5, 1, clock.now());
  EXPECT_EQ(bucket.wait(clock.now()), seconds(2));
}

TEST(TokenBucket, DebtIsThatOfTheMomentWhenTheLimitFalls) {
  ManualClock clock;
  TokenBucket bucket(1000, 1000);
  bucket.take(3000, clock.now());
  clock.advance(seconds(2));
  bucket.change(1, 1, clock.now());
  EXPECT_EQ(bucket.wait(clock.now()), seconds(1)) << "two seconds have paid the debt";
  bucket.take(10, clock.now());
  clock.advance(seconds(1));
  bucket.change(10, 10, clock.now());
  EXPECT_EQ(bucket.wait(clock.now()), seconds(1)) << "one was paid before, slowly";
}

TEST(TokenBucket, AHigherLimitHoldsFromItsChangeOn) {
  ManualClock clock;
  TokenBucket bucket(0.01, 1);
  bucket.take(1, clock.now());
  clock.advance(seconds(10));
  bucket.change(100, 100, clock.now());
  EXPECT_GT(bucket.wait(clock.now()), milliseconds(8)) << "what has passed was slow";
  clock.advance(milliseconds(10));
  EXPECT_EQ(bucket.wait(clock.now()), Duration::zero());
}

TEST(Meter, LetsABurstThroughAndThenTheRate) {
  ManualClock clock;
  Meter meter(limit(2, 5));
  EXPECT_EQ(count_at_once(meter, clock.now()), 5);
  clock.advance(seconds(1));
  EXPECT_EQ(count_at_once(meter, clock.now()), 2);
  clock.advance(std::chrono::hours(1));
  EXPECT_EQ(count_at_once(meter, clock.now()), 5);
}

TEST(Meter, WithoutABurstASecondsWorthIsOne) {
  ManualClock clock;
  Meter fast(limit(20));
  EXPECT_EQ(count_at_once(fast, clock.now()), 20);
  Meter slow(limit(0.1));
  EXPECT_EQ(count_at_once(slow, clock.now()), 1);
  EXPECT_EQ(slow.requests_wait(clock.now()), seconds(10));
}

TEST(Meter, BytesAndRequestsAreApart) {
  ManualClock clock;
  Meter meter(limit(0, 0, 1000));
  EXPECT_TRUE(meter.is_limited());
  meter.take_bytes(2999, clock.now());
  EXPECT_EQ(meter.requests_wait(clock.now()), Duration::zero());
  EXPECT_EQ(meter.bytes_wait(clock.now()), seconds(2));
  EXPECT_FALSE(Meter(limit(0)).is_limited());
}

TEST(Meter, WhatWasUsedStaysUsedWhenTheLimitChanges) {
  ManualClock clock;
  Meter meter(limit(1, 10));
  EXPECT_EQ(count_at_once(meter, clock.now()), 10);
  for (const std::int64_t burst : {12, 1, 1000, 10}) {
    meter.change(limit(1, burst), clock.now());
    EXPECT_EQ(meter.requests_wait(clock.now()), seconds(1)) << burst;
  }
  clock.advance(seconds(3));
  EXPECT_EQ(count_at_once(meter, clock.now()), 3);
  meter.change(limit(0), clock.now());
  EXPECT_EQ(meter.requests_wait(clock.now()), Duration::zero());
  clock.advance(seconds(1));
  meter.change(limit(1, 3), clock.now());
  EXPECT_EQ(count_at_once(meter, clock.now()), 3);
}

TEST(Meter, ALowerLimitLocksNobodyOut) {
  ManualClock clock;
  Meter meter(limit(300, 900));
  EXPECT_EQ(count_at_once(meter, clock.now()), 900);
  meter.change(limit(1, 5), clock.now());
  EXPECT_EQ(meter.requests_wait(clock.now()), seconds(1));
  clock.advance(seconds(5));
  EXPECT_EQ(count_at_once(meter, clock.now()), 5);
}

TEST(RateLimit, DefaultsFillWhatIsNotSaid) {
  const RateLimit defaults = limit(5, 50, 1000);
  EXPECT_EQ(with_defaults({}, defaults), defaults);
  const RateLimit own = with_defaults(
      {.requests_per_second = 2.0, .burst = std::nullopt, .bytes_per_second = std::nullopt}, defaults);
  EXPECT_EQ(own.requests_per_second, 2.0);
  EXPECT_EQ(own.burst, std::nullopt) << "the default's burst goes with the default's rate";
  EXPECT_EQ(own.bytes_per_second, 1000);
  EXPECT_EQ(with_defaults(limit(0, 0, 0), defaults), limit(0, 0, 0)) << "0 is no limit, not the default";
}

TEST(RateLimit, ContainsWhatIsNoMore) {
  EXPECT_TRUE(contains(limit(0), limit(5)));
  EXPECT_FALSE(contains(limit(5), limit(0)));
  EXPECT_TRUE(contains(limit(5), limit(5)));
  EXPECT_FALSE(contains(limit(5), limit(6)));
  EXPECT_FALSE(contains(limit(5), limit(5, 6)));
  EXPECT_TRUE(contains(limit(5, 6), limit(5)));
  EXPECT_FALSE(contains(limit(0, 0, 10), limit(1)));
  EXPECT_TRUE(contains(limit(0, 0, 10), limit(0, 0, 9)));
  EXPECT_TRUE(contains(limit(0), limit(0)));
}

}  // namespace
}  // namespace sterna
