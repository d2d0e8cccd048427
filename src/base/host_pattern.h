// Host names in lists of allowed targets: one name, or all names below one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sterna {

// As names are compared: lower case, without a dot at the end.
std::string plain_host(std::string_view host);

struct HostPattern {
  enum class Reach : std::uint8_t { kItself, kBelow };

  std::string name;  // as plain_host makes it
  Reach reach = Reach::kItself;

  // `host` as plain_host makes it. `*.example.org` has every name below example.org, at any depth, not
  // example.org itself.
  bool matches(std::string_view host) const;
  bool operator==(const HostPattern&) const = default;
};

// "hooks.internal" or "*.example.org". None when it is no host name, which an address is not either.
std::optional<HostPattern> parse_host_pattern(std::string_view text);

// A target of connections; without a port, all of them.
struct HostTarget {
  HostPattern host;
  std::optional<std::uint16_t> port;

  bool operator==(const HostTarget&) const = default;
};

// A pattern, or a pattern with a port: "api.example.com:443".
std::optional<HostTarget> parse_host_target(std::string_view text);
std::string to_string(const HostTarget& target);

}  // namespace sterna
