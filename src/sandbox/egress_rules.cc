#include "sandbox/egress_rules.h"

#include <ifaddrs.h>

#include <memory>

#include "sandbox/files.h"

namespace sterna::sandbox {
namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr unsigned kAllBits = 128;
constexpr unsigned kV4Bits = 96;          // of a v4-mapped range that are not the address
constexpr std::size_t kMaxResolvers = 3;  // more are not asked by the C library either
constexpr std::size_t kMaxOwnAddresses = 256;

IpRange range_of(std::string_view text) {
  return parse_ip_range(text).value_or(IpRange{});
}

// Ranges are powers of two: two of them are apart, or one is in the other.
std::optional<IpRange> common(const IpRange& one, const IpRange& other) {
  if (one.contains(other)) return other;
  if (other.contains(one)) return one;
  return std::nullopt;
}

}  // namespace

std::vector<EgressRule> egress_rules(const EgressPolicy& policy, const std::vector<IpAddress>& resolvers,
                                     const std::vector<IpAddress>& own) {
  std::vector<EgressRule> rules;
  const auto add = [&rules](const IpRange& to, Verdict verdict) {
    rules.push_back({.to = to, .verdict = verdict});
  };
  const auto add_admitted = [&](const IpRange& to) {
    if (policy.names.empty()) return;
    rules.push_back({.to = to, .verdict = Verdict::kAccept, .addresses = EgressRule::Addresses::kAdmitted});
  };
  if (policy.names.empty()) {
    for (const IpAddress& resolver : resolvers)
      rules.push_back({.to = {resolver, kAllBits}, .verdict = Verdict::kAccept, .port = kDnsPort});
  }
  for (const IpRange& granted : policy.may_open) add_admitted(granted);
  for (const IpRange& wanted : policy.only) {
    for (const IpRange& granted : policy.may_open) {
      if (const auto both = common(wanted, granted)) add(*both, Verdict::kAccept);
    }
  }
  for (const IpRange& special : special_ranges()) add(special, Verdict::kRefuse);
  for (const IpAddress& address : own) add({address, kAllBits}, Verdict::kRefuse);
  const IpRange all_v4 = range_of("0.0.0.0/0");
  const IpRange public_v6 = range_of("2000::/3");
  for (const IpRange& wanted : policy.only) {
    const IpRange& whole = wanted.base.is_v4() ? all_v4 : public_v6;
    if (const auto part = common(wanted, whole)) add(*part, Verdict::kAccept);
  }
  add_admitted(all_v4);
  add_admitted(public_v6);
  if (policy.open()) {
    add(all_v4, Verdict::kAccept);
    add(public_v6, Verdict::kAccept);
  }
  add(all_v4, Verdict::kRefuse);
  add(range_of("::/0"), Verdict::kRefuse);
  return rules;
}

bool may_admit(const std::vector<EgressRule>& rules, const IpAddress& address) {
  for (const EgressRule& rule : rules) {
    // A range of all IPv6 addresses has the v4-mapped ones in it; packets to those are IPv4.
    const bool same_family = rule.to.bits >= kV4Bits || !address.is_v4();
    if (!rule.port && same_family && rule.to.contains(address)) return rule.verdict == Verdict::kAccept;
  }
  return false;
}

std::vector<IpAddress> own_addresses() {
  std::vector<IpAddress> addresses;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return addresses;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(first, &::freeifaddrs);
  for (const ifaddrs* each = first; each != nullptr && addresses.size() < kMaxOwnAddresses;
       each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    const auto address = ip_of(*each->ifa_addr);
    if (address && !special_use(*address)) addresses.push_back(*address);
  }
  return addresses;
}

std::vector<IpAddress> resolvers_of(std::string_view resolv_conf) {
  std::vector<IpAddress> resolvers;
  for (std::string_view line : split(resolv_conf, '\n')) {
    constexpr std::string_view kWord = "nameserver";
    if (!line.starts_with(kWord)) continue;
    line.remove_prefix(kWord.size());
    line = line.substr(std::min(line.find_first_not_of(" \t"), line.size()));
    const auto address = parse_ip(line.substr(0, line.find_first_of(" \t\r%")));
    if (address && resolvers.size() < kMaxResolvers) resolvers.push_back(*address);
  }
  return resolvers;
}

}  // namespace sterna::sandbox
