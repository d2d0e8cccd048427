// Rows of the registry's tables as values. Internal to registry/.
#pragma once

#include <string>
#include <string_view>

#include "registry/function.h"
#include "store/statement.h"

namespace sterna::registry {

// Selects everything that read_function needs; a WHERE clause follows it.
inline constexpr std::string_view kSelectFunction =
    "SELECT f.id, s.name, f.name, f.stopped, f.crash_reason, f.created_at, f.updated_at,"
    " n.number, n.spec, n.bundle, n.state, n.reason, n.handler_async, n.runtime, n.created_at, "
    "n.traffic_percent, n.layer,"
    " a.number, a.spec, a.bundle, a.state, a.reason, a.handler_async, a.runtime, a.created_at, "
    "a.traffic_percent, a.layer,"
    " c.number, c.spec, c.bundle, c.state, c.reason, c.handler_async, c.runtime, c.created_at, "
    "c.traffic_percent, c.layer"
    " FROM functions f JOIN spaces s ON s.id = f.space_id"
    " JOIN versions n ON n.function_id = f.id AND n.number = f.newest"
    " LEFT JOIN versions a ON a.function_id = f.id AND a.number = f.active"
    " LEFT JOIN versions c ON c.function_id = f.id AND c.number = f.canary ";

// The columns of a space, in the order of read_space.
inline constexpr std::string_view kSpaceColumns = "spec, created_at, secret, previous_secret, previous_until";

// The columns of a version, in the order of read_version.
inline constexpr std::string_view kVersionColumns =
    "number, spec, bundle, state, reason, handler_async, runtime, created_at, traffic_percent, layer";

// All three fail with internal, reason `registry_damaged`, when a row does not hold what was written into it.
Result<Function> read_function(const store::Statement& row);
Result<Version> read_version(const store::Statement& row, int first_column);
Result<Space> read_space(const store::Statement& row);

std::string stored_spec(const api::FunctionSpec& spec);
std::string stored_spec(const api::SpaceSpec& spec);

WallTime from_ms(std::int64_t milliseconds);

// The failures that several files answer.
std::unexpected<Error> no_space(std::string_view name);
std::unexpected<Error> no_function(std::string_view name);
std::unexpected<Error> no_version(std::int64_t number);
std::unexpected<Error> no_secret(std::string_view name);

}  // namespace sterna::registry
