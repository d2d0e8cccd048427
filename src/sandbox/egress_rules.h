// Where a function with network `egress` may connect to: the policy as people write it, and as a list of
// rules of which the first that fits decides. Pure but for `own_addresses`.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/host_pattern.h"
#include "base/ip_address.h"

namespace sterna::sandbox {

struct EgressPolicy {
  // Without an entry in either: the public internet. With some: only these, the private ones among them as
  // far as `may_open` says.
  std::vector<IpRange> only;
  // What these names lead to, by the server's own look-up (admission.h).
  std::vector<HostTarget> names;
  // The administrator's: what of private networks functions may name in `only`.
  std::vector<IpRange> may_open;

  bool open() const { return only.empty() && names.empty(); }
  bool operator==(const EgressPolicy&) const = default;
};

enum class Verdict : std::uint8_t { kAccept, kRefuse };

struct EgressRule {
  enum class Addresses : std::uint8_t {
    kAll,
    kAdmitted,  // those of `to` that an allowed name has led to; `port` is decided there
  };

  IpRange to;
  Verdict verdict = Verdict::kRefuse;
  std::optional<std::uint16_t> port{};  // of TCP and UDP; none: every packet
  Addresses addresses = Addresses::kAll;

  bool operator==(const EgressRule&) const = default;
};

inline constexpr std::size_t kMaxEgressRanges = 64;  // of each list of the policy

// `resolvers` may be asked for names wherever they are, but by those who may reach named hosts only: the
// server answers these. `own` are the machine's addresses, refused like private ones. The last rules are for
// all addresses.
std::vector<EgressRule> egress_rules(const EgressPolicy& policy, const std::vector<IpAddress>& resolvers,
                                     const std::vector<IpAddress>& own);

// Whether these rules let packets to `address` out once a name has led to it.
bool may_admit(const std::vector<EgressRule>& rules, const IpAddress& address);

// The addresses of the network that the caller is in.
std::vector<IpAddress> own_addresses();

// The name servers of a resolv.conf.
std::vector<IpAddress> resolvers_of(std::string_view resolv_conf);

}  // namespace sterna::sandbox
