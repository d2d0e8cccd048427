#include "native/command/cgi_environment.h"

#include <map>

#include "native/request_parts.h"
#include "net/http_parser.h"

namespace sterna::native {
namespace {

std::string variable_of(std::string_view header) {
  std::string name = "HTTP_";
  for (const char c : header) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += !is_letter ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

void add_headers(Environment& environment, const wire::RequestHead& request) {
  std::map<std::string, std::string> joined;
  wire::HeaderWalk walk(request.headers, request.header_count);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) {
    if (net::equal_ignoring_case(name, "content-type") || net::equal_ignoring_case(name, "content-length")) {
      continue;  // they have names of their own
    }
    // HTTP_PROXY is read as a setting by many programs ("httpoxy").
    if (net::equal_ignoring_case(name, "proxy")) continue;
    auto [at, is_new] = joined.try_emplace(variable_of(name), value);
    if (!is_new) at->second.append(net::equal_ignoring_case(name, "cookie") ? "; " : ", ").append(value);
  }
  for (const auto& [variable, text] : joined) environment.set(variable, text);
}

}  // namespace

Environment cgi_environment(const Environment& base, const Exchange& exchange) {
  const wire::RequestHead& request = exchange.request();
  Environment environment = base;
  add_headers(environment, request);
  environment.set("GATEWAY_INTERFACE", "CGI/1.1");
  environment.set("SERVER_PROTOCOL", "HTTP/1.1");
  environment.set("SERVER_SOFTWARE", "sterna");
  const std::string_view host = exchange.header("host");
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos;
  environment.set("SERVER_NAME", host.substr(0, has_port ? colon : host.size()));
  environment.set("SERVER_PORT", has_port ? host.substr(colon + 1) : "80");
  environment.set("REMOTE_ADDR", client_address(exchange.header("x-forwarded-for")));
  environment.set("SCRIPT_NAME", "");
  environment.set("REQUEST_METHOD", request.method);
  environment.set("PATH_INFO", request.path);
  environment.set("QUERY_STRING", request.query);
  if (const auto type = exchange.header("content-type"); !type.empty()) environment.set("CONTENT_TYPE", type);
  const auto length =
      exchange.body_came_in_parts() ? exchange.announced_length() : std::optional(exchange.body().size());
  if (length.value_or(0) > 0) environment.set("CONTENT_LENGTH", std::to_string(*length));
  environment.set("STERNA_CALL_ID", exchange.header("x-call-id"));
  environment.set("Http_Method", request.method);
  environment.set("Http_Path", request.path);
  environment.set("Http_Query", request.query);
  return environment;
}

}  // namespace sterna::native
