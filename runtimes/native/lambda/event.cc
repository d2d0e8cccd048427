#include "native/lambda/event.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "api/base64.h"
#include "native/lambda/json_text.h"
#include "native/request_parts.h"
#include "net/http_parser.h"
#include "worker/log_lines.h"

namespace sterna::native {
namespace {

using Joined = std::map<std::string, std::string, std::less<>>;

void join(Joined& all, std::string name, std::string_view value) {
  auto [at, is_new] = all.try_emplace(std::move(name), value);
  if (!is_new) at->second.append(",").append(value);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::string_view take_until(std::string_view& text, char separator) {
  const std::string_view part = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

struct Headers {
  Joined joined;  // without cookies
  std::vector<std::string_view> cookies;
  std::string_view content_type;
};

Headers headers_of(const wire::RequestHead& request) {
  Headers headers;
  wire::HeaderWalk walk(request.headers, request.header_count);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) {
    if (net::equal_ignoring_case(name, "cookie")) {
      while (!value.empty()) {
        const std::string_view cookie = trimmed(take_until(value, ';'));
        if (!cookie.empty()) headers.cookies.push_back(cookie);
      }
      continue;
    }
    if (net::equal_ignoring_case(name, "content-type")) headers.content_type = value;
    join(headers.joined, lower(name), value);
  }
  return headers;
}

std::string_view get(const Headers& headers, std::string_view name) {
  const auto found = headers.joined.find(name);
  return found == headers.joined.end() ? std::string_view() : found->second;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char small = static_cast<char>(c | 0x20);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

// As forms encode: a plus is a space, broken escapes stay.
std::string form_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
  return out;
}

Joined query_of(std::string_view query) {
  Joined parameters;
  while (!query.empty()) {
    std::string_view value = take_until(query, '&');
    if (value.empty()) continue;
    const std::string_view name = take_until(value, '=');
    join(parameters, form_decoded(name), form_decoded(value));
  }
  return parameters;
}

void append_object(std::string& out, std::string_view name, const Joined& members) {
  append_json_name(out, name);
  out.push_back('{');
  for (const auto& [key, value] : members) append_json_member(out, key, value);
  out.push_back('}');
}

// The types that API Gateway passes on as text.
bool is_text(std::string_view content_type) {
  const std::string type = lower(trimmed(content_type.substr(0, content_type.find(';'))));
  if (type.starts_with("text/")) return true;
  if (!type.starts_with("application/")) return false;
  return type.ends_with("/json") || type.ends_with("+json") || type.ends_with("/xml") ||
         type.ends_with("+xml") || type.ends_with("/javascript");
}

void append_body(std::string& out, std::string_view body, std::string_view content_type) {
  const bool as_text = body.empty() || (is_text(content_type) && worker::is_valid_utf8(body));
  if (!body.empty()) {
    append_json_name(out, "body");
    if (as_text) {
      append_json_string(out, body);
    } else {
      out.push_back('"');
      api::append_base64(out, body);
      out.push_back('"');
    }
  }
  append_json_name(out, "isBase64Encoded");
  out.append(as_text ? "false" : "true");
}

void append_context(std::string& out, const wire::RequestHead& request, const Headers& headers,
                    std::string_view path, const EventSource& source, WallTime now) {
  append_json_name(out, "requestContext");
  out.push_back('{');
  append_json_member(out, "accountId", "000000000000");
  append_json_member(out, "apiId", source.space);
  const std::string_view forwarded = get(headers, "x-forwarded-host");
  append_json_member(out, "domainName", forwarded.empty() ? get(headers, "host") : forwarded);
  append_json_member(out, "domainPrefix", source.function);
  append_json_name(out, "http");
  out.push_back('{');
  append_json_member(out, "method", request.method);
  append_json_member(out, "path", path);
  append_json_member(out, "protocol", "HTTP/1.1");
  append_json_member(out, "sourceIp", client_address(get(headers, "x-forwarded-for")));
  append_json_member(out, "userAgent", get(headers, "user-agent"));
  out.push_back('}');
  append_json_member(out, "requestId", get(headers, "x-call-id"));
  append_json_member(out, "routeKey", "$default");
  append_json_member(out, "stage", "$default");
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  append_json_member(out, "time", fmt::format("{:%d/%b/%Y:%H:%M:%S} +0000", seconds));
  append_json_name(out, "timeEpoch");
  out.append(std::to_string(now.time_since_epoch().count()));
  out.push_back('}');
}

}  // namespace

std::string http_event(const wire::RequestHead& request, std::string_view body, const EventSource& source,
                       WallTime now) {
  const Headers headers = headers_of(request);
  std::string path;
  append_encoded_path(path, request.path);
  std::string out;
  out.reserve(1024 + 2 * request.headers.size() + 2 * request.path.size() + 3 * request.query.size() +
              body.size() / 3 * 4);
  out.push_back('{');
  append_json_member(out, "version", "2.0");
  append_json_member(out, "routeKey", "$default");
  append_json_member(out, "rawPath", path);
  append_json_member(out, "rawQueryString", request.query);
  if (!headers.cookies.empty()) {
    append_json_name(out, "cookies");
    out.push_back('[');
    for (const std::string_view cookie : headers.cookies) {
      if (!out.ends_with('[')) out.push_back(',');
      append_json_string(out, cookie);
    }
    out.push_back(']');
  }
  append_object(out, "headers", headers.joined);
  if (!request.query.empty()) append_object(out, "queryStringParameters", query_of(request.query));
  append_context(out, request, headers, path, source, now);
  append_body(out, body, headers.content_type);
  out.push_back('}');
  return out;
}

std::string xray_trace(std::string_view traceparent) {
  if (traceparent.size() < 55) return {};
  const bool sampled = (hex_value(traceparent[54]) & 1) == 1;
  return fmt::format("Root=1-{}-{};Parent={};Sampled={}", traceparent.substr(3, 8),
                     traceparent.substr(11, 24), traceparent.substr(36, 16), sampled ? 1 : 0);
}

}  // namespace sterna::native
