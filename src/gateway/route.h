// From a request target to what is meant by it: pure text work, before anything is looked up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna::gateway {

enum class RouteKind : std::uint8_t {
  kInvoke,       // {fn}/invoke[/a[/b[/c]]]
  kAsyncInvoke,  // {fn}/async-invoke[/a[/b[/c]]]
  kInvocations,  // {fn}/invocations[/{id}[/response|/redrive|/redeliver]]
  kLogs,         // {fn}/logs
  kBuilds,       // {fn}/builds/{version}/logs
  kHealth,       // /healthz
  kReady,        // /readyz
  kMetrics,      // /metrics
  kGiveToken,    // /oauth2/token
  kRevokeToken,  // /oauth2/revoke
  kManagement,   // everything else
};

// Views point into the target.
struct Route {
  RouteKind kind = RouteKind::kManagement;
  std::string_view path;      // raw, without query
  std::string_view query;     // raw, without '?'
  std::string_view space;     // of the kinds that begin with {fn}
  std::string_view function;  // likewise
  std::string_view
      tail;  // raw, what follows /invoke, /async-invoke, /invocations, /builds; "" or begins with '/'
};

// Takes origin-form and absolute-form (RFC 9112 3.2). Fails with invalid, reason `bad_path`.
Result<Route> parse_route(std::string_view target);

// The path that the function sees: percent-decoded, "/" for an empty tail. Levels are counted on the raw
// path, empty ones do not count. Fails with invalid `bad_path` on `.` and `..` segments, broken escapes and
// NUL; with not_found `path_too_deep` over `max_levels`.
Result<std::string> function_path(std::string_view tail, std::size_t max_levels);

// Percent-decoding; false when an escape is broken.
bool percent_decode(std::string_view text, std::string& out);

// GET, and HEAD, which is answered in the same way without the body (RFC 9110 9.3.2).
constexpr bool only_reads(std::string_view method) {
  return method == "GET" || method == "HEAD";
}

// The value of a query parameter, decoded ('+' is a space); false when absent.
bool query_parameter(std::string_view query, std::string_view name, std::string& value);

// A parameter that is `true` or `false`, false when absent. Fails with invalid, reason `bad_parameter`,
// naming it.
Result<bool> query_switch(std::string_view query, const std::string& name);

}  // namespace sterna::gateway
