// FunctionSpec from and to JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/function_spec.h"
#include "api/json.h"
#include "api/validation.h"
#include "base/ip_address.h"
#include "base/rate_limit.h"

namespace sterna::api {

// What the server allows and assumes, of functions and of the apps that call them.
struct SpecRules {
  std::vector<std::string> templates;  // every accepted name, aliases too
  Limits default_limits;
  bool allow_network_host = true;                        // what was stored once is read again
  std::int64_t max_body_bytes = std::int64_t{1} << 30U;  // the most that the server takes for any function
  std::optional<std::vector<IpRange>> egress_private{};  // private targets that functions may have; none: all
  RateLimit app_rate_limit{};                            // of apps that have none of their own
};

// Why `network: host` is refused.
inline constexpr std::string_view kNetworkHostRefused =
    "host lets functions reach this machine's own services; only a server started with --allow-network-host "
    "takes it";

// Fields of answers that are no part of the spec: accepted and ignored, so that what GET answered can be PUT
// back.
inline constexpr std::string_view kReadOnlyFields[] = {
    "id",      "space",   "status",  "status_reason", "version",   "active_version",
    "traffic", "runtime", "metrics", "created_at",    "updated_at"};

// Reads and checks a whole spec; what is absent or null gets its default. `source` is not looked at
// (source.h). Answers all field errors at once.
Validated<FunctionSpec> parse_spec(const Json& json, const SpecRules& rules);

// The spec as it is stored and patched: `limits.concurrency` only when the user gave one.
OrderedJson to_json(const FunctionSpec& spec);
// The spec as users see it, with the concurrency that is in force.
OrderedJson to_json(const FunctionSpec& spec, std::optional<bool> handler_async);

// A number of seconds: whole ones as integers.
OrderedJson seconds_json(Duration duration);

}  // namespace sterna::api
