#include "native/http/listeners.h"

#include <gtest/gtest.h>

namespace sterna::native {
namespace {

constexpr std::string_view kTable =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000  1000        0 4711 1 0\n"
    "   1: 0100007F:1F91 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 1 1 0\n"
    "  12: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0\n";

TEST(Listeners, OnlyListeningSocketsCount) {
  EXPECT_EQ(parse_listeners(kTable, Family::kV4),
            (std::vector<Listener>{{Family::kV4, 8080, 2, 4711}, {Family::kV4, 80, 0, 1}}));
}

TEST(Listeners, SixthVersionsAddressesAreLonger) {
  const auto found = parse_listeners(
      "   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 0 0\n",
      Family::kV6);
  EXPECT_EQ(found, (std::vector<Listener>{{Family::kV6, 3000, 0, 0}}));
}

TEST(Listeners, MappedAddressesAreOfTheFourthVersion) {
  const auto found = parse_listeners(
      "   0: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 0 0\n",
      Family::kV6);
  EXPECT_EQ(found, (std::vector<Listener>{{Family::kV4, 8080, 0, 0}}));
}

TEST(Listeners, BrokenTablesHoldNone) {
  EXPECT_TRUE(parse_listeners("", Family::kV4).empty());
  EXPECT_TRUE(parse_listeners("   0: nonsense x 0A\n 1: a:zz b 0A\n\n", Family::kV4).empty());
}

}  // namespace
}  // namespace sterna::native
