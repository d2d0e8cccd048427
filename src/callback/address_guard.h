// Tells which network addresses a callback may not go to unless a list allows them (SSRF guard): pure tables.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sterna::callback {

// An IPv4 or IPv6 address. IPv4 ones are held as v4-mapped (::ffff:a.b.c.d), so that both spellings are one.
struct Address {
  std::array<std::uint8_t, 16> bytes{};

  bool is_v4() const;
  bool operator==(const Address&) const = default;
};

// A range of addresses: the first `bits` of 128 are fixed. For IPv4, bits = 96 + the usual prefix length.
struct AddressRange {
  Address base;
  unsigned bits = 0;

  bool contains(const Address& address) const;
};

// "192.0.2.1", "2001:db8::1" or "::ffff:192.0.2.1"; nothing else, no zone ids, no octal or short forms.
std::optional<Address> parse_address(std::string_view text);

// None for families other than AF_INET and AF_INET6.
std::optional<Address> address_of(const sockaddr& socket_address);

std::string to_string(const Address& address);

// What is special about the address, e.g. "loopback", "private", "cloud metadata"; none for one of the public
// internet. Those with a NAT64 prefix (64:ff9b::/96) are what the IPv4 address in them is.
std::optional<std::string_view> special_use(const Address& address);

}  // namespace sterna::callback
