// The little of DNS (RFC 1035) that a worker's question for addresses takes. Pure; what it reads is hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/ip_address.h"

namespace sterna::launch {

inline constexpr std::uint16_t kDnsTypeA = 1;
inline constexpr std::uint16_t kDnsTypeAaaa = 28;
// What every client takes by UDP; longer answers are cut to whole addresses.
inline constexpr std::size_t kMaxDnsAnswer = 512;

struct DnsQuestion {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;  // of the query: recursion desired, checking disabled
  std::uint16_t type = 0;   // kDnsType...
  std::string name;         // as plain_host makes it; empty for what is no host name
  std::string section;      // the question as it was asked, which the answer repeats
};

// None for what is not one question in a standard query: it gets no answer.
std::optional<DnsQuestion> parse_dns_query(std::string_view packet);

enum class DnsCode : std::uint8_t { kNoError = 0, kServerFailure = 2, kNoName = 3 };

struct DnsAddress {
  IpAddress address;
  std::uint32_t ttl_seconds = 0;
};

// All addresses must be of the family that was asked for.
std::string make_dns_answer(const DnsQuestion& question, DnsCode code, std::span<const DnsAddress> addresses);

}  // namespace sterna::launch
