#include "registry/rows.h"

#include <array>

#include "api/function_json.h"

namespace sterna::registry {
namespace {

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Code::kInternal, Component::kRegistry, "registry_damaged",
              "the registry holds a " + std::string(what) + " that cannot be read");
}

Result<VersionState> read_state(const std::string& text) {
  for (const VersionState state : {VersionState::kPending, VersionState::kBuilding, VersionState::kActive,
                                   VersionState::kCanary, VersionState::kFailed, VersionState::kRetired}) {
    if (text == to_string(state)) return state;
  }
  return damaged("version state");
}

// What was accepted once is read again even when its template is not installed any more.
Result<api::FunctionSpec> read_spec(const std::string& text) {
  Result<api::Json> json = api::parse_json(text);
  if (!json || !json->is_object()) return damaged("function");
  api::SpecRules rules;
  rules.templates.push_back(json->value("template", ""));
  api::Validated<api::FunctionSpec> spec = api::parse_spec(*json, rules);
  if (!spec) return damaged("function");
  return std::move(*spec);
}

}  // namespace

std::string version_columns(std::string_view table) {
  std::string list;
  for (const std::string_view column : kVersionColumns) {
    if (!list.empty()) list += ", ";
    if (!table.empty()) list.append(table).append(".");
    list += column;
  }
  return list;
}

const std::string& select_function() {
  static const std::string kSql =
      "SELECT f.id, s.name, f.name, f.stopped, f.crash_reason, f.created_at, f.updated_at, " +
      version_columns("n") + ", " + version_columns("a") + ", " + version_columns("c") +
      ", f.space_id FROM functions f JOIN spaces s ON s.id = f.space_id"
      " JOIN versions n ON n.function_id = f.id AND n.number = f.newest"
      " LEFT JOIN versions a ON a.function_id = f.id AND a.number = f.active"
      " LEFT JOIN versions c ON c.function_id = f.id AND c.number = f.canary ";
  return kSql;
}

WallTime from_ms(std::int64_t milliseconds) {
  return WallTime(std::chrono::milliseconds(milliseconds));
}

Result<Version> read_version(const store::Statement& row, int first_column) {
  Result<api::FunctionSpec> spec = read_spec(row.text(first_column + 1));
  if (!spec) return std::unexpected(spec.error());
  Result<VersionState> state = read_state(row.text(first_column + 3));
  if (!state) return std::unexpected(state.error());
  Version version;
  version.number = row.integer(first_column);
  version.spec = std::move(*spec);
  version.bundle = row.text(first_column + 2);
  version.state = *state;
  version.reason = row.text(first_column + 4);
  if (const auto is_async = row.optional_integer(first_column + 5)) version.handler_async = *is_async != 0;
  version.runtime = row.text(first_column + 6);
  version.created_at = from_ms(row.integer(first_column + 7));
  version.traffic_percent = static_cast<int>(row.integer(first_column + 8));
  version.layer = row.text(first_column + 9);
  return version;
}

Result<Function> read_function(const store::Statement& row) {
  constexpr int kNewest = 7;
  constexpr int kActive = kNewest + static_cast<int>(kVersionColumns.size());
  constexpr int kCanary = kActive + static_cast<int>(kVersionColumns.size());
  Function function;
  function.id = row.text(0);
  function.space = row.text(1);
  function.space_id = row.text(kCanary + static_cast<int>(kVersionColumns.size()));
  function.name = row.text(2);
  function.created_at = from_ms(row.integer(5));
  function.updated_at = from_ms(row.integer(6));
  Result<Version> newest = read_version(row, kNewest);
  if (!newest) return std::unexpected(newest.error());
  function.newest = std::move(*newest);
  if (!row.is_null(kActive)) {
    const bool same = row.integer(kActive) == function.newest.number;
    Result<Version> active = same ? Result<Version>(function.newest) : read_version(row, kActive);
    if (!active) return std::unexpected(active.error());
    function.active = std::move(*active);
  }
  if (!row.is_null(kCanary)) {
    Result<Version> canary = read_version(row, kCanary);
    if (!canary) return std::unexpected(canary.error());
    function.canary = std::move(*canary);
  }
  const std::string crash_reason = row.text(4);
  StatusAndReason status = status_of({.stopped = row.integer(3) != 0,
                                      .has_active = function.active.has_value(),
                                      .crash_reason = crash_reason,
                                      .newest_number = function.newest.number,
                                      .newest_state = function.newest.state,
                                      .newest_reason = function.newest.reason,
                                      .newest_has_code = !function.newest.bundle.empty()});
  function.status = status.status;
  function.status_reason = std::move(status.reason);
  return function;
}

Result<Space> read_space(const store::Statement& row) {
  Result<api::Json> json = api::parse_json(row.text(0));
  if (!json) return damaged("space");
  api::Validated<api::SpaceSpec> spec = api::parse_space(*json);
  if (!spec) return damaged("space");
  return Space{
      .spec = std::move(*spec),
      .created_at = from_ms(row.integer(1)),
      .signing = {
          .current = row.text(2), .previous = row.text(3), .previous_until = from_ms(row.integer(4))}};
}

std::string stored_spec(const api::FunctionSpec& spec) {
  return api::dump(api::to_json(spec));
}
std::string stored_spec(const api::SpaceSpec& spec) {
  return api::dump(api::to_json(spec));
}

std::unexpected<Error> no_space(std::string_view name) {
  return fail(Code::kNotFound, Component::kRegistry, "space_not_found",
              "there is no space \"" + std::string(name.substr(0, 100)) + "\"");
}

std::unexpected<Error> no_function(std::string_view name) {
  return fail(Code::kNotFound, Component::kRegistry, "function_not_found",
              "there is no function \"" + std::string(name.substr(0, 100)) + "\"");
}

// Versions that only have settings are made until the first code is sent.
std::unexpected<Error> version_has_no_code(std::int64_t number) {
  return fail(Code::kConflict, Component::kRegistry, "version_has_no_code",
              "version " + std::to_string(number) +
                  " has no code: it was made before the function's code was sent, so it cannot run");
}

std::unexpected<Error> no_version(std::int64_t number) {
  return fail(Code::kNotFound, Component::kRegistry, "version_not_found",
              "there is no version " + std::to_string(number) + " of this function (any more)");
}

std::unexpected<Error> no_secret(std::string_view name) {
  return fail(Code::kNotFound, Component::kRegistry, "secret_not_found",
              "there is no secret \"" + std::string(name.substr(0, 128)) + "\" in this space");
}

}  // namespace sterna::registry
