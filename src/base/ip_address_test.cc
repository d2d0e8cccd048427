#include "base/ip_address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

namespace sterna {
namespace {

std::string use_of(std::string_view text) {
  const auto address = parse_ip(text);
  if (!address) return "not an address";
  return std::string(special_use(*address).value_or("public"));
}

struct Case {
  const char* address;
  const char* use;
};

class SpecialUse : public ::testing::TestWithParam<Case> {};

TEST_P(SpecialUse, IsNamed) {
  EXPECT_EQ(use_of(GetParam().address), GetParam().use) << GetParam().address;
}

INSTANTIATE_TEST_SUITE_P(
    V4, SpecialUse,
    ::testing::Values(
        Case{"0.0.0.0", "unspecified"}, Case{"0.255.255.255", "unspecified"}, Case{"1.0.0.0", "public"},
        Case{"9.255.255.255", "public"}, Case{"10.0.0.0", "private"}, Case{"10.255.255.255", "private"},
        Case{"11.0.0.0", "public"}, Case{"100.63.255.255", "public"}, Case{"100.64.0.0", "carrier-grade NAT"},
        Case{"100.127.255.255", "carrier-grade NAT"}, Case{"100.128.0.0", "public"},
        Case{"100.100.100.200", "cloud metadata"}, Case{"126.255.255.255", "public"},
        Case{"127.0.0.1", "loopback"}, Case{"127.255.255.255", "loopback"}, Case{"128.0.0.0", "public"},
        Case{"168.63.129.16", "cloud metadata"}, Case{"168.63.129.17", "public"},
        Case{"169.254.0.1", "link-local"}, Case{"169.254.169.254", "cloud metadata"},
        Case{"169.255.0.0", "public"}, Case{"172.15.255.255", "public"}, Case{"172.16.0.0", "private"},
        Case{"172.31.255.255", "private"}, Case{"172.32.0.0", "public"},
        Case{"192.0.0.8", "protocol assignment"}, Case{"192.0.0.192", "cloud metadata"},
        Case{"192.0.1.0", "public"}, Case{"192.0.2.1", "documentation"}, Case{"192.88.99.1", "6to4 relay"},
        Case{"192.167.255.255", "public"}, Case{"192.168.1.1", "private"}, Case{"192.169.0.0", "public"},
        Case{"198.17.255.255", "public"}, Case{"198.18.0.0", "benchmarking"},
        Case{"198.19.255.255", "benchmarking"}, Case{"198.20.0.0", "public"},
        Case{"198.51.100.7", "documentation"}, Case{"203.0.113.7", "documentation"},
        Case{"223.255.255.255", "public"}, Case{"224.0.0.1", "multicast"},
        Case{"239.255.255.255", "multicast"}, Case{"240.0.0.0", "reserved"},
        Case{"255.255.255.254", "reserved"}, Case{"255.255.255.255", "broadcast"}));

INSTANTIATE_TEST_SUITE_P(
    V6, SpecialUse,
    ::testing::Values(
        Case{"::", "unspecified"}, Case{"::1", "loopback"}, Case{"::2", "IPv4-compatible"},
        Case{"::7f00:1", "IPv4-compatible"}, Case{"::ffff:127.0.0.1", "loopback"},
        Case{"::ffff:7f00:1", "loopback"}, Case{"::ffff:169.254.169.254", "cloud metadata"},
        Case{"::ffff:8.8.8.8", "public"}, Case{"::ffff:0:127.0.0.1", "IPv4-translated"},
        Case{"64:ff9b::10.0.0.1", "private"}, Case{"64:ff9b::a9fe:a9fe", "cloud metadata"},
        Case{"64:ff9b::8.8.8.8", "public"}, Case{"64:ff9b:1::1", "private NAT64"},
        Case{"64:ff9c::1", "reserved"}, Case{"100::1", "discard-only"}, Case{"200::1", "reserved"},
        Case{"1fff::1", "reserved"}, Case{"2000::1", "public"}, Case{"2001::1", "Teredo"},
        Case{"2001:0:7f00:1::", "Teredo"}, Case{"2001:2::1", "benchmarking"},
        Case{"2001:10::1", "protocol assignment"}, Case{"2001:1ff::1", "protocol assignment"},
        Case{"2001:200::1", "public"}, Case{"2001:db8::1", "documentation"}, Case{"2001:db9::1", "public"},
        Case{"2002:7f00:1::", "6to4"}, Case{"2003::1", "public"}, Case{"2606:4700::1111", "public"},
        Case{"3ffe::1", "public"}, Case{"3fff::1", "documentation"}, Case{"3fff:1000::1", "public"},
        Case{"4000::1", "reserved"}, Case{"fc00::1", "unique local"}, Case{"fd00:ec2::254", "cloud metadata"},
        Case{"fdff::1", "unique local"}, Case{"fe00::1", "reserved"}, Case{"fe80::1", "link-local"},
        Case{"febf::1", "link-local"}, Case{"fec0::1", "site-local"}, Case{"ff02::1", "multicast"}));

TEST(AddressTest, ReadsOnlyTheUsualForms) {
  for (const char* text : {"", "127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "1.2.3.4.5", "256.1.1.1",
                           " ::1", "[::1]", "fe80::1%eth0", "::1/128", "localhost"}) {
    EXPECT_FALSE(parse_ip(text)) << text;
  }
  EXPECT_FALSE(parse_ip(std::string_view("127.0.0.1\0", 10)));
}

TEST(AddressTest, BothSpellingsOfAnIpv4AddressAreOne) {
  EXPECT_EQ(parse_ip("::ffff:10.1.2.3"), parse_ip("10.1.2.3"));
  EXPECT_EQ(to_string(parse_ip("::FFFF:a01:203").value_or(IpAddress{})), "10.1.2.3");
  EXPECT_EQ(to_string(parse_ip("2001:DB8:0::1").value_or(IpAddress{})), "2001:db8::1");
}

TEST(AddressTest, ComesFromASocketAddress) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(ip_of(reinterpret_cast<const sockaddr&>(v4)), parse_ip("127.0.0.1"));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_addr = in6addr_loopback;
  EXPECT_EQ(ip_of(reinterpret_cast<const sockaddr&>(v6)), parse_ip("::1"));
  sockaddr other{};
  other.sa_family = AF_UNIX;
  EXPECT_FALSE(ip_of(other));
}

TEST(AddressRangeTest, ComparesWholeAndBrokenBytes) {
  const IpRange range{parse_ip("fd80::").value_or(IpAddress{}), 9};
  EXPECT_TRUE(range.contains(parse_ip("fdff::1").value_or(IpAddress{})));
  EXPECT_FALSE(range.contains(parse_ip("fd7f::1").value_or(IpAddress{})));
  EXPECT_TRUE(
      (IpRange{parse_ip("::1").value_or(IpAddress{}), 128}.contains(parse_ip("::1").value_or(IpAddress{}))));
  EXPECT_FALSE(
      (IpRange{parse_ip("::1").value_or(IpAddress{}), 128}.contains(parse_ip("::2").value_or(IpAddress{}))));
  EXPECT_TRUE((IpRange{IpAddress{}, 0}.contains(parse_ip("ff02::1").value_or(IpAddress{}))));
}

}  // namespace
}  // namespace sterna
