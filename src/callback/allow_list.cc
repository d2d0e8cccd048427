#include "callback/allow_list.h"

#include <fmt/format.h>

#include <algorithm>

namespace sterna::callback {
namespace {

constexpr std::size_t kMaxEntries = 1000;

std::unexpected<Error> bad_entry(std::string_view entry, std::string_view why) {
  return fail(Code::kInvalid, Component::kCallback, "bad_callback_allow",
              fmt::format("'{}' is not allowed in a callback allow-list: {}", entry.substr(0, 300), why));
}

}  // namespace

Result<AllowList> AllowList::parse(std::span<const std::string> entries) {
  if (entries.size() > kMaxEntries) {
    return fail(Code::kInvalid, Component::kCallback, "bad_callback_allow",
                fmt::format("a callback allow-list has at most {} entries", kMaxEntries));
  }
  AllowList list;
  for (const std::string& entry : entries) {
    if (auto added = list.add(entry); !added) return std::unexpected(added.error());
  }
  return list;
}

Status AllowList::add(std::string_view entry) {
  const auto slash = entry.find('/');
  if (parse_ip(entry.substr(0, slash))) {
    const auto range = parse_ip_range(entry);
    if (!range) return bad_entry(entry, range.error().detail);
    ranges_.push_back(*range);
    return {};
  }
  if (slash != std::string_view::npos) return bad_entry(entry, "what stands before '/' is not an IP address");

  const auto host = parse_host_pattern(entry);
  if (!host) {
    return bad_entry(
        entry,
        "write an IP address, a range like 10.0.0.0/8, a host name, or *.example.com; no scheme, port or "
        "path");
  }
  hosts_.push_back(*host);
  return {};
}

bool AllowList::allows(const IpAddress& address) const {
  return std::ranges::any_of(ranges_, [&](const IpRange& range) { return range.contains(address); });
}

bool AllowList::allows_host(std::string_view host) const {
  if (hosts_.empty()) return false;
  const std::string name = plain_host(host);
  return std::ranges::any_of(hosts_, [&](const HostPattern& pattern) { return pattern.matches(name); });
}

}  // namespace sterna::callback
