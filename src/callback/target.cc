#include "callback/target.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/number.h"

namespace sterna::callback {
namespace {

constexpr std::string_view kReason = "bad_callback_url";
constexpr std::size_t kMaxHostLength = 253;
constexpr std::size_t kMaxLabelLength = 63;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, FreeUrl>;

struct FreeText {
  void operator()(char* text) const { curl_free(text); }
};

std::unexpected<Error> bad_url(std::string detail) {
  return fail(Code::kInvalid, Component::kCallback, std::string(kReason), std::move(detail));
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  return result;
}

// Only what RFC 3986 allows: everything else would be read differently by different programs.
Status check_characters(std::string_view url) {
  for (std::size_t i = 0; i < url.size(); ++i) {
    const char c = url[i];
    if (c == '%') {
      if (i + 2 < url.size() && is_hex(url[i + 1]) && is_hex(url[i + 2])) continue;
      return bad_url("'%' in the callback URL is not followed by two hexadecimal digits");
    }
    if (is_letter(c) || is_digit(c) || std::string_view("-._~:/?#[]@!$&'()*+,;=").contains(c)) continue;
    if (c == ' ') return bad_url("the callback URL contains a space; write %20");
    if (c > ' ' && c < 0x7f)
      return bad_url(fmt::format("the callback URL contains '{}'; percent-encode it", c));
    return bad_url(
        fmt::format("the callback URL contains the byte 0x{:02x}; percent-encode it, and write names of "
                    "hosts in their xn-- form",
                    static_cast<unsigned char>(c)));
  }
  return {};
}

// WHATWG's rule: such hosts are IPv4 addresses or mistakes, never names.
bool ends_in_number(std::string_view host) {
  const auto dot = host.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  if (last.starts_with("0x")) return std::ranges::all_of(last.substr(2), is_hex);
  return std::ranges::all_of(last, is_digit);
}

Status check_host_name(std::string_view host) {
  if (host.size() > kMaxHostLength)
    return bad_url("the host name of the callback URL is longer than 253 characters");
  std::string_view rest = host;
  while (true) {
    const auto dot = rest.find('.');
    const std::string_view label = rest.substr(0, dot);
    if (label.empty() || label.size() > kMaxLabelLength || !std::ranges::all_of(label, [](char c) {
          return is_letter(c) || is_digit(c) || c == '-' || c == '_';
        })) {
      return bad_url(fmt::format("'{}' in the callback URL is not a host name", host));
    }
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (ends_in_number(host))
    return bad_url(fmt::format("'{}' in the callback URL is not an IP address", host));
  return {};
}

// What stands between "://" and the path.
Result<std::string_view> authority_of(std::string_view url) {
  const auto separator = url.find("://");
  const std::string scheme = lower(url.substr(0, separator));
  if (separator == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    return bad_url("the callback URL must begin with http:// or https://");
  }
  const std::string_view rest = url.substr(separator + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (authority.empty() || authority.starts_with(':')) return bad_url("the callback URL has no host");
  if (authority.contains('@')) {
    return bad_url("the callback URL carries a user name or password, which is not supported");
  }
  if (authority.contains('%')) return bad_url("the host of the callback URL must not be percent-encoded");
  return authority;
}

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, FreeText> owner(text);
  return text;
}

// Host in the one form that everything below compares: "[::1]" and "0x7f.1" become "::1" and "127.0.0.1".
Result<std::string> usual_host(std::string host) {
  if (host.starts_with('[')) {
    const auto address = parse_ip(std::string_view(host).substr(1, host.size() - 2));
    if (!host.ends_with(']') || !address) {
      return bad_url(fmt::format("'{}' in the callback URL is not an IPv6 address", host));
    }
    return to_string(*address);
  }
  host = lower(host);
  if (host.size() > 1 && host.ends_with('.')) host.pop_back();
  if (const auto address = parse_ip(host)) return to_string(*address);
  if (auto named = check_host_name(host); !named) return std::unexpected(named.error());
  return host;
}

}  // namespace

std::string Target::origin() const {
  return fmt::format("{}://{}:{}", tls ? "https" : "http", host.contains(':') ? "[" + host + "]" : host,
                     port);
}

Result<Target> parse_target(std::string_view url) {
  if (url.empty()) return bad_url("the callback URL is empty");
  if (url.size() > kMaxUrlLength) {
    return bad_url(fmt::format("the callback URL is longer than {} bytes", kMaxUrlLength));
  }
  if (auto checked = check_characters(url); !checked) return std::unexpected(checked.error());
  url = url.substr(0, url.find('#'));  // the fragment is never sent
  if (url.empty()) return bad_url("the callback URL has nothing before its fragment");
  const auto authority = authority_of(url);
  if (!authority) return std::unexpected(authority.error());
  if (url.substr(static_cast<std::size_t>(authority->end() - url.begin())).find_first_of("[]") !=
      std::string_view::npos) {
    return bad_url("the callback URL contains '[' or ']' outside of its host; percent-encode them");
  }

  const Url parsed(curl_url());
  STERNA_ASSERT(parsed != nullptr);
  Target target{.url = std::string(url), .host = {}};
  const CURLUcode code =
      curl_url_set(parsed.get(), CURLUPART_URL, target.url.c_str(), CURLU_DISALLOW_USER | CURLU_PATH_AS_IS);
  if (code != CURLUE_OK)
    return bad_url(fmt::format("the callback URL is malformed: {}", curl_url_strerror(code)));

  target.tls = part_of(parsed.get(), CURLUPART_SCHEME) == "https";
  auto host = usual_host(part_of(parsed.get(), CURLUPART_HOST));
  if (!host) return std::unexpected(host.error());
  target.host = *std::move(host);
  const std::string port = part_of(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  target.port = parse_number<decltype(target.port)>(port).value_or(0);
  if (target.port == 0) return bad_url("the port of the callback URL is not a number from 1 to 65535");
  return target;
}

Result<Target> resolve_redirect(const Target& from, std::string_view location) {
  if (location.empty()) return bad_url("the redirect has no Location");
  if (location.size() > kMaxUrlLength) return bad_url("the redirect's Location is too long");
  const Url url(curl_url());
  STERNA_ASSERT(url != nullptr);
  const std::string relative(location);
  if (curl_url_set(url.get(), CURLUPART_URL, from.url.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, relative.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK) {
    return bad_url("the redirect's Location is not a usable http or https URL");
  }
  auto target = parse_target(part_of(url.get(), CURLUPART_URL));
  if (target && from.tls && !target->tls) return bad_url("the redirect leads from https to http");
  return target;
}

Status check_address(std::string_view host, const IpAddress& address,
                     std::initializer_list<const AllowList*> allow_lists) {
  const auto what = special_use(address);
  if (!what) return {};
  for (const AllowList* list : allow_lists) {
    if (list != nullptr && (list->allows(address) || list->allows_host(host))) return {};
  }
  const std::string text = to_string(address);
  const std::string subject = host == text ? text : fmt::format("{} is at {}, which", host, text);
  return fail(
      Code::kDenied, Component::kCallback, "callback_forbidden",
      fmt::format("{} is no public address ({}): allow it with `sterna serve --callback-allow {}` or the "
                  "space's callback_allow",
                  subject, *what, text));
}

Status check_literal(const Target& target, std::initializer_list<const AllowList*> allow_lists) {
  std::vector<IpAddress> addresses;
  if (const auto literal = parse_ip(target.host)) {
    addresses = {*literal};
  } else if (target.host == "localhost" || target.host.ends_with(".localhost")) {
    addresses = {parse_ip("127.0.0.1").value_or(IpAddress{}),
                 parse_ip("::1").value_or(IpAddress{})};  // RFC 6761 6.3
  } else {
    return {};
  }
  Status checked;
  for (const IpAddress& address : addresses) {
    checked = check_address(target.host, address, allow_lists);
    if (checked) return {};
  }
  return bad_url(checked.error().detail);
}

}  // namespace sterna::callback
