#include "net/client_counts.h"

#include <gtest/gtest.h>

namespace sterna::net {
namespace {

IpAddress ip(std::string_view text) {
  return *parse_ip(text);
}

TEST(ClientCounts, EachAddressHasItsOwnUntilItIsGivenBack) {
  ClientCounts counts(2);
  auto one = counts.take(ip("203.0.113.1"));
  auto two = counts.take(ip("203.0.113.1"));
  ASSERT_TRUE(one && two);
  EXPECT_FALSE(counts.take(ip("203.0.113.1")));
  EXPECT_FALSE(counts.take(ip("::ffff:203.0.113.1")));  // the same one
  EXPECT_TRUE(counts.take(ip("203.0.113.2")));
  one.reset();
  EXPECT_TRUE(counts.take(ip("203.0.113.1")));
}

TEST(ClientCounts, ANetworkOf64BitsIsOneClient) {
  ClientCounts counts(1);
  const auto held = counts.take(ip("2001:db8:1:2::1"));
  ASSERT_TRUE(held);
  EXPECT_FALSE(counts.take(ip("2001:db8:1:2:ffff::9")));
  EXPECT_TRUE(counts.take(ip("2001:db8:1:3::1")));
}

TEST(ClientCounts, LoopbackIsNotCounted) {
  ClientCounts counts(0);
  EXPECT_TRUE(counts.take(ip("127.0.0.1")));
  EXPECT_TRUE(counts.take(ip("::1")));
  EXPECT_FALSE(counts.take(ip("203.0.113.1")));
}

TEST(ClientCounts, PlacesMoveAndNothingStaysOfThoseThatWent) {
  ClientCounts counts(1);
  {
    ClientCounts::Place place;
    place = std::move(*counts.take(ip("203.0.113.1")));
    const ClientCounts::Place moved = std::move(place);
    EXPECT_EQ(counts.size(), 1U);
  }
  EXPECT_EQ(counts.size(), 0U);
}

}  // namespace
}  // namespace sterna::net
