#include "sandbox/egress_rules.h"

#include <gtest/gtest.h>

#include "sandbox/packet_filter.h"

namespace sterna::sandbox {
namespace {

IpAddress ip(std::string_view text) {
  return parse_ip(text).value_or(IpAddress{});
}

std::vector<IpRange> ranges(std::initializer_list<std::string_view> texts) {
  std::vector<IpRange> all;
  for (const std::string_view text : texts) all.push_back(parse_ip_range(text).value_or(IpRange{}));
  return all;
}

// What the first rule that fits says of a TCP connection.
bool allowed(const std::vector<EgressRule>& rules, std::string_view address, std::uint16_t port = 443) {
  for (const EgressRule& rule : rules) {
    const bool same_family = rule.to.bits < 96 ? !ip(address).is_v4() : true;
    if (same_family && rule.to.contains(ip(address)) && rule.port.value_or(port) == port)
      return rule.verdict == Verdict::kAccept;
  }
  return false;
}

TEST(EgressRules, LetOutToThePublicInternetOnly) {
  const auto rules = egress_rules({}, {}, {ip("203.0.114.9"), ip("2606:4700::9")});
  for (const char* address : {"8.8.8.8", "203.0.114.8", "2606:4700::1111"})
    EXPECT_TRUE(allowed(rules, address)) << address;
  for (const char* address :
       {"10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "127.0.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fd00:ec2::254", "fc00::1", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::", "ff02::1", "4000::1", "203.0.114.9", "2606:4700::9"}) {
    EXPECT_FALSE(allowed(rules, address)) << address;
  }
}

TEST(EgressRules, ResolversAreAskedForNamesOnly) {
  const auto rules = egress_rules({}, {ip("10.0.0.2")}, {});
  EXPECT_TRUE(allowed(rules, "10.0.0.2", 53));
  EXPECT_FALSE(allowed(rules, "10.0.0.2", 80));
  EXPECT_FALSE(allowed(rules, "10.0.0.3", 53));
}

TEST(EgressRules, AListOfTargetsIsAllThatIsReached) {
  const auto rules = egress_rules(
      {.only = ranges({"203.0.112.0/24", "10.1.0.0/16", "2606:4700::/32", "0.0.0.0/1"}), .may_open = {}},
      {ip("10.0.0.2")}, {});
  for (const char* address : {"203.0.112.7", "2606:4700::1111", "8.8.8.8"})
    EXPECT_TRUE(allowed(rules, address)) << address;
  for (const char* address : {"10.1.2.3", "203.0.114.8", "2001:4860::8888", "127.0.0.1"})
    EXPECT_FALSE(allowed(rules, address)) << address;
  EXPECT_TRUE(allowed(rules, "10.0.0.2", 53));
}

TEST(EgressRules, PrivateTargetsNeedBothLists) {
  const EgressPolicy policy{.only = ranges({"10.1.0.0/16", "192.168.0.0/16", "169.254.169.254"}),
                            .may_open = ranges({"10.0.0.0/8", "192.168.7.0/24"})};
  const auto rules = egress_rules(policy, {}, {});
  for (const char* address : {"10.1.2.3", "192.168.7.1"}) EXPECT_TRUE(allowed(rules, address)) << address;
  for (const char* address : {"10.2.0.1", "192.168.8.1", "169.254.169.254", "8.8.8.8"})
    EXPECT_FALSE(allowed(rules, address)) << address;
  EXPECT_FALSE(allowed(egress_rules({.only = {}, .may_open = policy.may_open}, {}, {}), "10.1.2.3"));
}

TEST(EgressRules, ResolversComeFromTheSystemsFile) {
  EXPECT_EQ(resolvers_of("# x\nsearch example\nnameserver 10.0.0.2\nnameserver\t2001:db8::53 # y\nnameserver "
                         "bad\noptions edns0\n"),
            (std::vector<IpAddress>{ip("10.0.0.2"), ip("2001:db8::53")}));
}

TEST(PacketFilter, HasAMessageForEachRule) {
  const auto none = filter_messages({});
  const auto rules = egress_rules({}, {}, {});
  EXPECT_GT(filter_messages(rules).size(), none.size() + rules.size() * 100);
  EXPECT_TRUE(can_filter_packets()) << "this kernel has no nf_tables";
}

}  // namespace
}  // namespace sterna::sandbox
