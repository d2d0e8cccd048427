#include "gateway/cors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "gateway/problem_answer.h"
#include "net/http_text.h"

namespace sterna::gateway {
namespace {

constexpr std::string_view kAll = "*";

std::string list_of(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

// "*" would not stand for Authorization, and old browsers do not know it: the browser's own list does.
std::string allowed_headers(const api::Cors& cors, const std::string_view* asked) {
  if (!api::allows_all(cors.allow_headers)) return list_of(cors.allow_headers);
  std::string names;
  std::string_view rest = asked == nullptr ? std::string_view() : *asked;
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
    const std::string_view name = net::without_blanks(item);
    if (net::is_token(name)) names.append(names.empty() ? "" : ", ").append(name);
  }
  return names.empty() ? std::string(kAll) : names;
}

void answer_preflight(net::HttpConnection& connection, const api::Cors& cors, std::string_view method) {
  connection.begin(204);
  connection.header("Access-Control-Allow-Methods",
                    api::allows_all(cors.allow_methods) ? std::string(method) : list_of(cors.allow_methods));
  connection.header("Access-Control-Allow-Headers",
                    allowed_headers(cors, connection.request().find("access-control-request-headers")));
  connection.header("Access-Control-Max-Age", std::to_string(cors.max_age_seconds));
  connection.header("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers");
  connection.send({});
}

}  // namespace

bool is_allowed(const net::HttpRequest& request, const api::Cors& cors) {
  if (api::allows_all(cors.allow_origins)) return true;
  const std::string_view* origin = request.find("origin");
  return origin != nullptr && api::allows(cors, *origin);
}

Preflight apply_cors(net::HttpConnection& connection, const api::Cors& cors) {
  const net::HttpRequest& request = connection.request();
  const std::string_view* origin = request.find("origin");
  const bool all = api::allows_all(cors.allow_origins);
  const bool allowed = is_allowed(request, cors);
  if (!all) connection.add_to_answer("Vary", "Origin");
  if (allowed) {
    connection.add_to_answer("Access-Control-Allow-Origin", all ? kAll : *origin);
    if (cors.allow_credentials) connection.add_to_answer("Access-Control-Allow-Credentials", "true");
  }
  const std::string_view* method = request.find("access-control-request-method");
  if (request.method != "OPTIONS" || origin == nullptr || method == nullptr || !net::is_token(*method)) {
    if (allowed && !cors.expose_headers.empty())
      connection.add_to_answer("Access-Control-Expose-Headers", list_of(cors.expose_headers));
    return Preflight::kNone;
  }
  if (allowed) {
    answer_preflight(connection, cors, *method);
  } else {
    answer_invocation_error(connection, 403,
                            {Code::kDenied, Component::kGateway, "origin_not_allowed",
                             "the function's cors.allow_origins does not list this origin"},
                            {});
  }
  return Preflight::kAnswered;
}

bool is_cors_header(std::string_view name) {
  constexpr std::string_view kPrefix = "access-control-";
  return name.size() > kPrefix.size() && net::equal_ignoring_case(name.substr(0, kPrefix.size()), kPrefix);
}

// A function with such settings always has one header of them in its answers.
void copy_function_header(net::HttpConnection& connection, std::string_view name, std::string_view value) {
  if (connection.adds_to_answer() && is_cors_header(name)) return;
  connection.header(name, value);
}

}  // namespace sterna::gateway
