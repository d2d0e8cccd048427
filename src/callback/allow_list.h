// Which forbidden callback targets are allowed all the same: the server's list (`--callback-allow`) and a
// space's
// (`callback_allow`).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/host_pattern.h"
#include "base/ip_address.h"

namespace sterna::callback {

// A value; reading it from several threads is safe.
class AllowList {
 public:
  AllowList() = default;

  // Each entry: an address ("127.0.0.1"), a range ("10.0.0.0/8", "fd00::/8"), a host name ("hooks.internal"),
  // or all names below one ("*.internal"). Fails with invalid `bad_callback_allow`; the detail names the
  // entry.
  static Result<AllowList> parse(std::span<const std::string> entries);

  bool allows(const IpAddress& address) const;
  // Whether whatever `host` resolves to is allowed. A dot at its end and upper case do not matter.
  bool allows_host(std::string_view host) const;
  bool empty() const { return ranges_.empty() && hosts_.empty(); }

 private:
  Status add(std::string_view entry);

  std::vector<IpRange> ranges_;
  std::vector<HostPattern> hosts_;
};

}  // namespace sterna::callback
