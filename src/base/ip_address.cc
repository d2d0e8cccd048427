#include "base/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "base/number.h"

namespace sterna {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;
constexpr unsigned kAllBits = 128;

struct SpecialUse {
  const char* base;
  unsigned prefix;
  std::string_view what;
};

// IANA's special-purpose registries, and the addresses at which clouds serve credentials. First match counts.
constexpr std::array kSpecialV4{
    SpecialUse{"169.254.169.254", 32, "cloud metadata"},
    SpecialUse{"100.100.100.200", 32, "cloud metadata"},
    SpecialUse{"168.63.129.16", 32, "cloud metadata"},
    SpecialUse{"192.0.0.192", 32, "cloud metadata"},
    SpecialUse{"0.0.0.0", 8, "unspecified"},
    SpecialUse{"10.0.0.0", 8, "private"},
    SpecialUse{"100.64.0.0", 10, "carrier-grade NAT"},
    SpecialUse{"127.0.0.0", 8, "loopback"},
    SpecialUse{"169.254.0.0", 16, "link-local"},
    SpecialUse{"172.16.0.0", 12, "private"},
    SpecialUse{"192.0.0.0", 24, "protocol assignment"},
    SpecialUse{"192.0.2.0", 24, "documentation"},
    SpecialUse{"192.88.99.0", 24, "6to4 relay"},
    SpecialUse{"192.168.0.0", 16, "private"},
    SpecialUse{"198.18.0.0", 15, "benchmarking"},
    SpecialUse{"198.51.100.0", 24, "documentation"},
    SpecialUse{"203.0.113.0", 24, "documentation"},
    SpecialUse{"224.0.0.0", 4, "multicast"},
    SpecialUse{"255.255.255.255", 32, "broadcast"},
    SpecialUse{"240.0.0.0", 4, "reserved"},
};

constexpr std::array kSpecialV6{
    SpecialUse{"fd00:ec2::254", 128, "cloud metadata"},
    SpecialUse{"::", 128, "unspecified"},
    SpecialUse{"::1", 128, "loopback"},
    SpecialUse{"::", 96, "IPv4-compatible"},
    SpecialUse{"::ffff:0:0:0", 96, "IPv4-translated"},
    SpecialUse{"64:ff9b:1::", 48, "private NAT64"},
    SpecialUse{"100::", 64, "discard-only"},
    SpecialUse{"2001::", 32, "Teredo"},
    SpecialUse{"2001:2::", 48, "benchmarking"},
    SpecialUse{"2001::", 23, "protocol assignment"},
    SpecialUse{"2001:db8::", 32, "documentation"},
    SpecialUse{"2002::", 16, "6to4"},
    SpecialUse{"3fff::", 20, "documentation"},
    SpecialUse{"fc00::", 7, "unique local"},
    SpecialUse{"fe80::", 10, "link-local"},
    SpecialUse{"fec0::", 10, "site-local"},
    SpecialUse{"ff00::", 8, "multicast"},
};

// Of the tables, whose addresses are well-formed.
IpAddress known(const char* text) {
  return parse_ip(text).value_or(IpAddress{});
}

struct NamedRange {
  IpRange range;
  std::string_view what;
};

template <std::size_t N>
std::array<NamedRange, N> ranges_of(const std::array<SpecialUse, N>& table) {
  std::array<NamedRange, N> ranges;
  for (std::size_t i = 0; i < N; ++i) {
    const IpAddress base = known(table[i].base);
    ranges[i] = {{base, table[i].prefix + (base.is_v4() ? kMappedBits : 0)}, table[i].what};
  }
  return ranges;
}

template <std::size_t N>
std::optional<std::string_view> find(const std::array<NamedRange, N>& ranges, const IpAddress& address) {
  const auto found =
      std::ranges::find_if(ranges, [&](const NamedRange& named) { return named.range.contains(address); });
  if (found == ranges.end()) return std::nullopt;
  return found->what;
}

IpAddress mapped(const std::uint8_t* four) {
  IpAddress address;
  std::ranges::copy(kMappedPrefix, address.bytes.begin());
  std::memcpy(address.bytes.data() + kMappedPrefix.size(), four, 4);
  return address;
}

const auto& special_v4() {
  static const auto ranges = ranges_of(kSpecialV4);
  return ranges;
}
const auto& special_v6() {
  static const auto ranges = ranges_of(kSpecialV6);
  return ranges;
}

bool bits_after_are_zero(const IpRange& range) {
  for (unsigned bit = range.bits; bit < kAllBits; ++bit) {
    if ((range.base.bytes[bit / 8] >> (7 - bit % 8) & 1U) != 0) return false;
  }
  return true;
}

std::unexpected<Error> bad_range(std::string why) {
  return fail(Code::kInvalid, Component::kGateway, "bad_ip_range", std::move(why));
}

}  // namespace

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

bool IpRange::contains(const IpAddress& address) const {
  const std::size_t whole = bits / 8;
  if (!std::equal(base.bytes.begin(), base.bytes.begin() + static_cast<std::ptrdiff_t>(whole),
                  address.bytes.begin())) {
    return false;
  }
  const unsigned rest = bits % 8;
  return rest == 0 || ((base.bytes[whole] ^ address.bytes[whole]) >> (8 - rest)) == 0;
}

std::optional<IpAddress> parse_ip(std::string_view text) {
  const std::string terminated(text);
  if (terminated.size() != std::strlen(terminated.c_str())) return std::nullopt;  // a NUL inside
  std::array<std::uint8_t, 4> four{};
  if (inet_pton(AF_INET, terminated.c_str(), four.data()) == 1) return mapped(four.data());
  IpAddress address;
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

Result<IpRange> parse_ip_range(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_ip(text.substr(0, slash));
  if (!address) return bad_range("it is not an IP address");
  const unsigned offset = address->is_v4() && !text.contains(':') ? kMappedBits : 0;
  IpRange range{*address, kAllBits};
  if (slash != std::string_view::npos) {
    const auto prefix = parse_number<unsigned>(text.substr(slash + 1));
    if (!prefix || *prefix > kAllBits - offset)
      return bad_range("the prefix length is a number from 0 to " + std::to_string(kAllBits - offset));
    range.bits = *prefix + offset;
  }
  if (!bits_after_are_zero(range)) return bad_range("the address has bits set beyond the prefix length");
  return range;
}

std::string to_string(const IpRange& range) {
  std::string base = to_string(range.base);
  if (range.bits == kAllBits) return base;
  const unsigned offset = range.base.is_v4() && range.bits >= kMappedBits ? kMappedBits : 0;
  return base + "/" + std::to_string(range.bits - offset);
}

std::optional<IpAddress> ip_of(const sockaddr& socket_address) {
  if (socket_address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &socket_address, sizeof(v4));
    return mapped(reinterpret_cast<const std::uint8_t*>(&v4.sin_addr));
  }
  if (socket_address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &socket_address, sizeof(v6));
    IpAddress address;
    std::memcpy(address.bytes.data(), &v6.sin6_addr, address.bytes.size());
    return address;
  }
  return std::nullopt;
}

std::span<const std::uint8_t> packet_bytes(const IpAddress& address) {
  constexpr std::size_t kV4Bytes = 4;
  const std::span<const std::uint8_t> bytes(address.bytes);
  return address.is_v4() ? bytes.last(kV4Bytes) : bytes;
}

IpAddress client_of(const IpAddress& address) {
  constexpr std::size_t kNetworkBytes = 8;
  IpAddress client = address;
  if (!address.is_v4()) std::fill(client.bytes.begin() + kNetworkBytes, client.bytes.end(), std::uint8_t{0});
  return client;
}

std::string to_string(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.is_v4()) {
    inet_ntop(AF_INET, address.bytes.data() + kMappedPrefix.size(), text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, address.bytes.data(), text.data(), text.size());
  }
  return text.data();
}

std::optional<std::string_view> special_use(const IpAddress& address) {
  static const IpRange nat64{known("64:ff9b::"), kMappedBits};
  static const IpRange global_unicast{known("2000::"), 3};

  if (address.is_v4()) return find(special_v4(), address);
  if (nat64.contains(address)) return find(special_v4(), mapped(address.bytes.data() + kMappedPrefix.size()));
  if (auto what = find(special_v6(), address)) return what;
  if (!global_unicast.contains(address)) return "reserved";
  return std::nullopt;
}

std::vector<IpRange> special_ranges() {
  std::vector<IpRange> all;
  for (const NamedRange& named : special_v4()) all.push_back(named.range);
  for (const NamedRange& named : special_v6()) all.push_back(named.range);
  return all;
}

}  // namespace sterna
