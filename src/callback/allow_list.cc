#include "callback/allow_list.h"

#include <fmt/format.h>

#include <algorithm>

namespace sterna::callback {
namespace {

constexpr std::size_t kMaxEntries = 1000;
constexpr std::size_t kMaxHostLength = 253;
constexpr std::size_t kMaxLabelLength = 63;

std::unexpected<Error> bad_entry(std::string_view entry, std::string_view why) {
  return fail(Code::kInvalid, Component::kCallback, "bad_callback_allow",
              fmt::format("'{}' is not allowed in a callback allow-list: {}", entry.substr(0, 300), why));
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  return result;
}

bool is_host_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxHostLength) return false;
  while (true) {
    const auto dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > kMaxLabelLength || !std::ranges::all_of(label, is_host_char) ||
        label.front() == '-' || label.back() == '-') {
      return false;
    }
    if (dot == std::string_view::npos) return !std::ranges::all_of(label, [](char c) { return c <= '9'; });
    name.remove_prefix(dot + 1);
  }
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

  const std::string name = lower(entry);
  const bool wildcard = name.starts_with("*.");
  std::string_view host = wildcard ? std::string_view(name).substr(2) : std::string_view(name);
  if (host.ends_with('.')) host.remove_suffix(1);
  if (!is_host_name(host)) {
    return bad_entry(
        entry,
        "write an IP address, a range like 10.0.0.0/8, a host name, or *.example.com; no scheme, port or "
        "path");
  }
  if (wildcard) {
    suffixes_.push_back("." + std::string(host));
  } else {
    hosts_.emplace_back(host);
  }
  return {};
}

bool AllowList::allows(const IpAddress& address) const {
  return std::ranges::any_of(ranges_, [&](const IpRange& range) { return range.contains(address); });
}

bool AllowList::allows_host(std::string_view host) const {
  if (hosts_.empty() && suffixes_.empty()) return false;
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::string name = lower(host);
  return std::ranges::find(hosts_, name) != hosts_.end() ||
         std::ranges::any_of(suffixes_, [&](const std::string& suffix) {
           return name.size() > suffix.size() && name.ends_with(suffix);
         });
}

}  // namespace sterna::callback
