// Answers browsers whose pages come from another origin (Fetch standard, CORS protocol).
#pragma once

#include <string_view>

#include "api/cors.h"
#include "net/http_connection.h"

namespace sterna::gateway {

// Whether the rest of the request's way is spared.
enum class Preflight : std::uint8_t { kNone, kAnswered };

// Whether the page that asks, or every page, may read the answer.
bool is_allowed(const net::HttpRequest& request, const api::Cors& cors);

// Lets the page that asks read the answer, whoever gives it. Call before the answer is begun. A browser's
// question whether its script may call at all (preflight) is answered: it carries no token and runs nothing.
Preflight apply_cors(net::HttpConnection& connection, const api::Cors& cors);

// Whether the function itself says something that is decided by its settings.
bool is_cors_header(std::string_view name);

// Adds a header that the function has set, unless its settings decide about it.
void copy_function_header(net::HttpConnection& connection, std::string_view name, std::string_view value);

}  // namespace sterna::gateway
