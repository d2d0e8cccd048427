// Internet addresses, and which of them belong to nobody in the public internet: what users make the server
// or their functions connect to is checked with these tables.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sterna {

// An IPv4 or IPv6 address. IPv4 ones are held as v4-mapped (::ffff:a.b.c.d), so that both spellings are one.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};

  bool is_v4() const;
  bool operator==(const IpAddress&) const = default;
};

// A range of addresses: the first `bits` of 128 are fixed. For IPv4, bits = 96 + the usual prefix length.
struct IpRange {
  IpAddress base;
  unsigned bits = 0;

  bool contains(const IpAddress& address) const;
  bool contains(const IpRange& other) const { return other.bits >= bits && contains(other.base); }
  bool operator==(const IpRange&) const = default;
};

// "192.0.2.1", "2001:db8::1" or "::ffff:192.0.2.1"; nothing else, no zone ids, no octal or short forms.
std::optional<IpAddress> parse_ip(std::string_view text);

// An address, or a range like "10.0.0.0/8" or "fd00::/8" without bits beyond its length. Fails with invalid,
// reason `bad_ip_range`; the detail says why.
Result<IpRange> parse_ip_range(std::string_view text);

// As parse_ip_range reads it; a range of one address without its length.
std::string to_string(const IpRange& range);

// None for families other than AF_INET and AF_INET6.
std::optional<IpAddress> ip_of(const sockaddr& socket_address);

std::string to_string(const IpAddress& address);

// As packets hold it: four bytes of an IPv4 address, sixteen of an IPv6 one.
std::span<const std::uint8_t> packet_bytes(const IpAddress& address);

// Who is counted as one client: an IPv4 address, or the first address of an IPv6 network of 64 bits, which is
// what each is given.
IpAddress client_of(const IpAddress& address);

// What is special about the address, e.g. "loopback", "private", "cloud metadata"; none for one of the public
// internet. Those with a NAT64 prefix (64:ff9b::/96) are what the IPv4 address in them is.
std::optional<std::string_view> special_use(const IpAddress& address);

// Every range of which special_use says something, but for what is not in 2000::/3.
std::vector<IpRange> special_ranges();

}  // namespace sterna
