#include "callback/allow_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

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

bool bits_after_are_zero(const AddressRange& range) {
  for (unsigned bit = range.bits; bit < 128; ++bit) {
    if ((range.base.bytes[bit / 8] >> (7 - bit % 8) & 1U) != 0) return false;
  }
  return true;
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
  if (const auto address = parse_address(entry.substr(0, slash))) {
    const unsigned offset = address->is_v4() && !entry.contains(':') ? 96 : 0;
    AddressRange range{*address, 128};
    if (slash != std::string_view::npos) {
      const std::string_view digits = entry.substr(slash + 1);
      unsigned prefix = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
      if (error != std::errc() || end != digits.data() + digits.size() || prefix > 128 - offset) {
        return bad_entry(entry, fmt::format("the prefix length is a number from 0 to {}", 128 - offset));
      }
      range.bits = prefix + offset;
    }
    if (!bits_after_are_zero(range))
      return bad_entry(entry, "the address has bits set beyond the prefix length");
    ranges_.push_back(range);
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

bool AllowList::allows(const Address& address) const {
  return std::ranges::any_of(ranges_, [&](const AddressRange& range) { return range.contains(address); });
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
