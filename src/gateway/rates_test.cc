#include "gateway/rates.h"

#include <gtest/gtest.h>

namespace sterna::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::shared_ptr<Meter> meter(double requests, std::int64_t burst = 0, std::int64_t bytes = 0) {
  return std::make_shared<Meter>(
      RateLimit{.requests_per_second = requests, .burst = burst, .bytes_per_second = bytes});
}

TEST(Rates, RetryAfterIsEnoughAndAtLeastASecond) {
  EXPECT_EQ(retry_after_seconds(Duration(1)), 1U);
  EXPECT_EQ(retry_after_seconds(seconds(1)), 1U);
  EXPECT_EQ(retry_after_seconds(milliseconds(1001)), 2U);
}

TEST(Rates, NoMetersLetEverythingThrough) {
  const ManualClock clock;
  const Meters none;
  EXPECT_FALSE(none.any());
  EXPECT_FALSE(count_request(none, clock.now()));
  EXPECT_EQ(none.bytes_wait(clock.now()), Duration::zero());
}

TEST(Rates, WhatIsRefusedCountsForNeither) {
  ManualClock clock;
  const Meters meters{.app = meter(1, 2), .space = meter(0.1, 1)};
  EXPECT_FALSE(count_request(meters, clock.now()));
  const auto refused = count_request(meters, clock.now());
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->limit, "space_requests");
  EXPECT_EQ(refused->wait, seconds(10));
  EXPECT_FALSE(count_request({.app = meters.app}, clock.now())) << "the app has one left";
  EXPECT_EQ(count_request({.app = meters.app}, clock.now())->limit, "app_requests");
}

TEST(Rates, AfterTheWaitThatIsToldNoLimitIsInTheWay) {
  ManualClock clock;
  const Meters meters{.app = meter(1, 1), .space = meter(0.5, 1, 100)};
  EXPECT_FALSE(count_request(meters, clock.now()));
  meters.take_bytes(1999, clock.now());
  const auto bytes = count_request(meters, clock.now());
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->limit, "space_bytes");
  EXPECT_EQ(bytes->wait, seconds(19));
  clock.advance(bytes->wait);
  EXPECT_FALSE(count_request(meters, clock.now()));
  const auto requests = count_request(meters, clock.now());
  ASSERT_TRUE(requests);
  EXPECT_EQ(requests->limit, "space_requests") << "the app's is shorter";
  EXPECT_EQ(requests->wait, seconds(2));
}

TEST(Rates, BytesAreOwedByBoth) {
  ManualClock clock;
  const Meters meters{.app = meter(0, 0, 100), .space = meter(0, 0, 1000)};
  EXPECT_FALSE(count_request(meters, clock.now()));
  meters.take_bytes(1099, clock.now());
  EXPECT_EQ(count_request(meters, clock.now())->limit, "app_bytes");
  EXPECT_EQ(meters.bytes_wait(clock.now()), seconds(10));
  EXPECT_EQ(count_request({.space = meters.space}, clock.now())->limit, "space_bytes");
  clock.advance(seconds(10));
  EXPECT_FALSE(count_request(meters, clock.now()));
}

}  // namespace
}  // namespace sterna::gateway
