#include "gateway/route.h"

#include <algorithm>
#include <array>
#include <utility>

#include "net/http_parser.h"

namespace sterna::gateway {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::unexpected<Error> bad_path(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_path", std::move(detail));
}

// Removes `literal` from the front of `text`.
bool take(std::string_view& text, std::string_view literal) {
  if (!text.starts_with(literal)) return false;
  text.remove_prefix(literal.size());
  return true;
}

std::string_view take_segment(std::string_view& text) {
  const std::string_view segment = text.substr(0, text.find('/'));
  text.remove_prefix(segment.size());
  return segment;
}

// What of a target follows the host, if it names one (RFC 9112 3.2.2); empty is "/".
Result<std::string_view> origin_form(std::string_view target) {
  if (target.starts_with('/')) return target;
  const auto absolute = net::absolute_target(target);
  if (!absolute || absolute->authority.empty())
    return bad_path("the request target must be a path such as /spaces/default/functions");
  return absolute->rest;
}

}  // namespace

Result<Route> parse_route(std::string_view target) {
  const auto origin = origin_form(target);
  if (!origin) return std::unexpected(origin.error());
  if (origin->find('#') != std::string_view::npos) return bad_path("a request target has no fragment");
  Route route;
  const std::size_t question = origin->find('?');
  route.path = origin->substr(0, question);
  if (question != std::string_view::npos) route.query = origin->substr(question + 1);
  if (route.path.empty()) route.path = "/";

  std::string_view rest = route.path;
  if (rest == "/healthz") route.kind = RouteKind::kHealth;
  if (rest == "/readyz") route.kind = RouteKind::kReady;
  if (rest == "/metrics") route.kind = RouteKind::kMetrics;
  if (rest == "/oauth2/token") route.kind = RouteKind::kGiveToken;
  if (rest == "/oauth2/revoke") route.kind = RouteKind::kRevokeToken;
  if (!take(rest, "/spaces/")) return route;
  route.space = take_segment(rest);
  if (!take(rest, "/functions/")) return route;
  route.function = take_segment(rest);
  constexpr std::array kParts = {
      std::pair<std::string_view, RouteKind>{"invoke", RouteKind::kInvoke},
      std::pair<std::string_view, RouteKind>{"async-invoke", RouteKind::kAsyncInvoke},
      std::pair<std::string_view, RouteKind>{"invocations", RouteKind::kInvocations},
      std::pair<std::string_view, RouteKind>{"logs", RouteKind::kLogs},
      std::pair<std::string_view, RouteKind>{"builds", RouteKind::kBuilds}};
  if (!take(rest, "/")) return route;
  const std::string_view word = take_segment(rest);
  for (const auto& [name, kind] : kParts) {
    if (word != name || (kind == RouteKind::kLogs && !rest.empty())) continue;
    route.kind = kind;
    route.tail = rest;
  }
  return route;
}

bool percent_decode(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return false;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return true;
}

Result<std::string> function_path(std::string_view tail, std::size_t max_levels) {
  if (tail.empty()) return "/";
  std::string path;
  if (!percent_decode(tail, path))
    return bad_path("a percent sign in the path is not followed by two hex digits");
  if (path.find('\0') != std::string::npos) return bad_path("the path holds a NUL byte");

  // Dots are looked for in what the function sees: an escaped slash must not hide them.
  for (std::string_view rest = path; take(rest, "/");) {
    const std::string_view segment = take_segment(rest);
    if (segment == "." || segment == "..") return bad_path("the path holds a . or .. segment");
  }
  std::size_t levels = 0;
  for (std::string_view rest = tail; take(rest, "/");) {
    if (!take_segment(rest).empty()) ++levels;
  }
  if (levels > max_levels) {
    return fail(Code::kNotFound, Component::kGateway, "path_too_deep",
                "a function's path has at most " + std::to_string(max_levels) + " levels");
  }
  return path;
}

bool query_parameter(std::string_view query, std::string_view name, std::string& value) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) != name) continue;
    std::string raw(pair.substr(std::min(equals + 1, pair.size())));
    std::ranges::replace(raw, '+', ' ');
    value.clear();
    if (!percent_decode(raw, value)) value = raw;
    return true;
  }
  return false;
}

Result<bool> query_switch(std::string_view query, const std::string& name) {
  std::string value;
  if (!query_parameter(query, name, value)) return false;
  if (value == "true" || value == "false") return value == "true";
  return fail(Code::kInvalid, Component::kGateway, "bad_parameter", name + " must be true or false");
}

}  // namespace sterna::gateway
