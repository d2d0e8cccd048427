// Rows of the registry's tables as values. Internal to registry/.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "registry/function.h"
#include "store/statement.h"

namespace sterna::registry {

// The columns of a version, in the order of read_version.
inline constexpr std::array<std::string_view, 10> kVersionColumns = {
    "number",        "spec",    "bundle",     "state",           "reason",
    "handler_async", "runtime", "created_at", "traffic_percent", "layer"};

// "number, spec, ...", or "n.number, n.spec, ..." of the table "n".
std::string version_columns(std::string_view table = {});

// Selects everything that read_function needs; a WHERE clause follows it.
const std::string& select_function();

// The columns of a space, in the order of read_space.
inline constexpr std::string_view kSpaceColumns = "spec, created_at, secret, previous_secret, previous_until";

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
std::unexpected<Error> version_has_no_code(std::int64_t number);
std::unexpected<Error> no_secret(std::string_view name);

}  // namespace sterna::registry
