#include "base/host_pattern.h"

#include <algorithm>

#include "base/number.h"

namespace sterna {
namespace {

constexpr std::size_t kMaxHostLength = 253;
constexpr std::size_t kMaxLabelLength = 63;
constexpr std::string_view kBelow = "*.";

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

std::string plain_host(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string plain(host);
  std::ranges::transform(plain, plain.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  return plain;
}

bool HostPattern::matches(std::string_view host) const {
  if (reach == Reach::kItself) return host == name;
  return host.size() > name.size() + 1 && host.ends_with(name) && host[host.size() - name.size() - 1] == '.';
}

std::optional<HostPattern> parse_host_pattern(std::string_view text) {
  HostPattern pattern;
  if (text.starts_with(kBelow)) {
    pattern.reach = HostPattern::Reach::kBelow;
    text.remove_prefix(kBelow.size());
  }
  pattern.name = plain_host(text);
  if (!is_host_name(pattern.name)) return std::nullopt;
  return pattern;
}

std::optional<HostTarget> parse_host_target(std::string_view text) {
  const std::size_t colon = text.find(':');
  const auto host = parse_host_pattern(text.substr(0, colon));
  if (!host) return std::nullopt;
  if (colon == std::string_view::npos) return HostTarget{.host = *host, .port = {}};
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!port || *port == 0) return std::nullopt;
  return HostTarget{.host = *host, .port = port};
}

std::string to_string(const HostTarget& target) {
  std::string text(target.host.reach == HostPattern::Reach::kBelow ? kBelow : std::string_view());
  text += target.host.name;
  if (target.port) text += ":" + std::to_string(*target.port);
  return text;
}

}  // namespace sterna
