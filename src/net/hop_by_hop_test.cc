#include "net/hop_by_hop.h"

#include <gtest/gtest.h>

#include <string>

namespace sterna::net {
namespace {

bool includes(const HopByHop& hop_by_hop, std::string_view name) {
  return hop_by_hop.includes(Header(name, "x"));
}

TEST(HopByHop, SomeAreAlways) {
  const HopByHop none;
  for (const char* name : {"connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
                           "Expect", "Proxy-Authorization", "Proxy-Authenticate", "Proxy-Connection"})
    EXPECT_TRUE(includes(none, name)) << name;
  EXPECT_FALSE(includes(none, "X-Other"));
}

TEST(HopByHop, EveryListCountsInLettersOfAnyCase) {
  HopByHop hop_by_hop;
  hop_by_hop.add("keep-alive, X-One ,\tx-two,,");
  hop_by_hop.add("X-THREE");
  for (const char* name : {"x-one", "X-Two", "x-three"}) EXPECT_TRUE(includes(hop_by_hop, name)) << name;
  for (const char* name : {"x-on", "x-ones", "x-four"}) EXPECT_FALSE(includes(hop_by_hop, name)) << name;
}

TEST(HopByHop, WhatIsForAllCannotBeNamed) {
  HopByHop hop_by_hop;
  hop_by_hop.add(
      "Host, Content-Length, Authorization, X-Forwarded-For, x-forwarded-host, traceparent, close");
  for (const char* name :
       {"Host", "Content-Length", "Authorization", "X-Forwarded-For", "X-Forwarded-Host", "traceparent"})
    EXPECT_FALSE(includes(hop_by_hop, name)) << name;
}

TEST(HopByHop, ManyNames) {
  std::string list;
  for (int i = 0; i < 15'000; ++i) list += std::to_string(i) + ",";
  HopByHop hop_by_hop;
  hop_by_hop.add(list);
  EXPECT_TRUE(includes(hop_by_hop, "0"));
  EXPECT_TRUE(includes(hop_by_hop, "14999"));
  EXPECT_FALSE(includes(hop_by_hop, "15000"));
}

}  // namespace
}  // namespace sterna::net
