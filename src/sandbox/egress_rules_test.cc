#include "sandbox/egress_rules.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/admission.h"
#include "sandbox/netfilter_messages.h"
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
  const auto rules =
      egress_rules({.only = ranges({"203.0.112.0/24", "10.1.0.0/16", "2606:4700::/32", "0.0.0.0/1"}),
                    .names = {},
                    .may_open = {}},
                   {ip("10.0.0.2")}, {});
  for (const char* address : {"203.0.112.7", "2606:4700::1111", "8.8.8.8"})
    EXPECT_TRUE(allowed(rules, address)) << address;
  for (const char* address : {"10.1.2.3", "203.0.114.8", "2001:4860::8888", "127.0.0.1"})
    EXPECT_FALSE(allowed(rules, address)) << address;
  EXPECT_TRUE(allowed(rules, "10.0.0.2", 53));
}

TEST(EgressRules, PrivateTargetsNeedBothLists) {
  const EgressPolicy policy{.only = ranges({"10.1.0.0/16", "192.168.0.0/16", "169.254.169.254"}),
                            .names = {},
                            .may_open = ranges({"10.0.0.0/8", "192.168.7.0/24"})};
  const auto rules = egress_rules(policy, {}, {});
  for (const char* address : {"10.1.2.3", "192.168.7.1"}) EXPECT_TRUE(allowed(rules, address)) << address;
  for (const char* address : {"10.2.0.1", "192.168.8.1", "169.254.169.254", "8.8.8.8"})
    EXPECT_FALSE(allowed(rules, address)) << address;
  EXPECT_FALSE(
      allowed(egress_rules({.only = {}, .names = {}, .may_open = policy.may_open}, {}, {}), "10.1.2.3"));
}

EgressPolicy named(std::vector<IpRange> only, std::vector<IpRange> may_open) {
  return {.only = std::move(only),
          .names = {*parse_host_target("api.example.com")},
          .may_open = std::move(may_open)};
}

TEST(EgressRules, NamesOpenWhatTheyLeadToAndNothingElse) {
  const auto rules = egress_rules(named({}, {}), {ip("10.0.0.2")}, {ip("203.0.114.9")});
  for (const char* address : {"8.8.8.8", "2606:4700::1111"})
    EXPECT_TRUE(may_admit(rules, ip(address))) << address;
  for (const char* address : {"10.1.2.3", "127.0.0.1", "169.254.169.254", "203.0.114.9", "::1", "fd00::1",
                              "64:ff9b::a9fe:a9fe", "4000::1", "0.0.0.0"}) {
    EXPECT_FALSE(may_admit(rules, ip(address))) << address;
  }
  for (const EgressRule& rule : rules) {
    EXPECT_TRUE(rule.verdict == Verdict::kRefuse || rule.addresses == EgressRule::Addresses::kAdmitted);
    EXPECT_FALSE(rule.port) << "resolvers must not be asked past the server";
  }
}

TEST(EgressRules, NamesLeadToPrivateTargetsAsFarAsTheyAreOpened) {
  const auto rules = egress_rules(named(ranges({"203.0.112.0/24"}), ranges({"10.1.0.0/16"})), {}, {});
  EXPECT_TRUE(may_admit(rules, ip("10.1.2.3")));
  EXPECT_FALSE(may_admit(rules, ip("10.2.2.3")));
  EXPECT_TRUE(allowed(rules, "203.0.112.7"));
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

// In a network of its own. Answers what went wrong, or 0.
int admit_many() {
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return 1;
  auto packed = pack_filter(egress_rules(named({}, ranges({"10.1.0.0/16"})), {}, {}));
  if (!packed || install_packet_filter(packed->get())) return 2;
  const UniqueFd filter(open_netfilter());
  const std::vector<Admission> some{{.address = ip("203.0.114.7"), .port = {}},
                                    {.address = ip("203.0.114.7"), .port = 443},
                                    {.address = ip("2606:4700::1"), .port = 443}};
  for (int times = 0; times < 3; ++times) {
    if (!admit(filter.get(), some)) return 3;
  }
  for (std::uint16_t port = 1; port <= kMaxAdmitted; ++port) {
    const Admission next{.address = ip("203.0.114.8"), .port = port};
    const Status done = admit(filter.get(), {&next, 1});
    if (!done) return done.error().code == Code::kExhausted && port > kMaxAdmitted / 2 ? 0 : 4;
  }
  return 5;
}

TEST(Admission, IsRepeatedAndBounded) {
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "only what has one thread gets users of its own";
#endif
  const pid_t child = ::fork();
  if (child == 0) ::_exit(admit_many());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace sterna::sandbox
