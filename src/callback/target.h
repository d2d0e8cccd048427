// Where a callback goes: a checked URL.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/error.h"
#include "callback/allow_list.h"

namespace sterna::callback {

inline constexpr std::size_t kMaxUrlLength = 8 << 10;

struct Target {
  std::string url;   // as given, without the fragment
  std::string host;  // lower case; IP literals in their usual form, IPv6 without brackets
  std::uint16_t port = 0;
  bool tls = false;

  // "https://host:port": targets with the same origin share connections, limits and rests.
  std::string origin() const;
};

// Fails with invalid `bad_callback_url`; the detail says what is wrong with it. Any thread.
Result<Target> parse_target(std::string_view url);

// Where a redirect leads; `location` may be relative (RFC 3986 5). Fails as parse_target, and when it leads
// from https to http.
Result<Target> resolve_redirect(const Target& from, std::string_view location);

// Whether `address`, to which `host` leads, may be connected to: it is public, or one of the lists allows it
// or the host. Null lists are skipped. Fails with denied `callback_forbidden`; the detail names address and
// remedy.
Status check_address(std::string_view host, const IpAddress& address,
                     std::initializer_list<const AllowList*> allow_lists);

// What can be told without a name server, for a quick refusal: a host that is an IP literal or "localhost".
// Fails with invalid `bad_callback_url` when it is forbidden.
Status check_literal(const Target& target, std::initializer_list<const AllowList*> allow_lists);

}  // namespace sterna::callback
