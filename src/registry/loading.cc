// What the loader and the pool tell the registry.
#include "registry/registry.h"
#include "registry/rows.h"
#include "registry/write.h"
#include "store/statement.h"

namespace sterna::registry {

using store::Statement;

// Only what waits or builds moves: a version that was superseded meanwhile keeps its state.
Status Registry::move_version(std::string_view id, std::int64_t number, VersionState to,
                              std::string_view reason) {
  FunctionRef changed;
  return write(changed, [&]() -> Status {
    Result<FunctionRef> function = resolve(id);
    if (!function) return std::unexpected(function.error());
    Result<Version> version = load_version(id, number);
    if (!version) return std::unexpected(version.error());
    changed = *function;
    return Statement(*database_,
                     "UPDATE versions SET state = ?3, reason = ?4 WHERE function_id = ?1 AND number = ?2"
                     " AND state IN ('pending', 'building')")
        .bind(id, number, to_string(to), reason)
        .run();
  });
}

Status Registry::set_building(std::string_view id, std::int64_t version) {
  return move_version(id, version, VersionState::kBuilding, "");
}

Status Registry::fail_version(std::string_view id, std::int64_t version, std::string_view reason) {
  return move_version(id, version, VersionState::kFailed, reason);
}

Status Registry::set_layer(std::string_view id, std::int64_t version, std::string_view layer) {
  FunctionRef changed;
  return write(changed, [&]() -> Status {
    Result<FunctionRef> function = resolve(id);
    if (!function) return std::unexpected(function.error());
    if (Result<Version> exists = load_version(id, version); !exists) return std::unexpected(exists.error());
    changed = *function;
    return Statement(*database_, "UPDATE versions SET layer = ?3 WHERE function_id = ?1 AND number = ?2")
        .bind(id, version, layer)
        .run();
  });
}

Status Registry::activate(std::string_view id, std::int64_t version, bool handler_async,
                          std::string_view runtime) {
  FunctionRef changed;
  return write(changed, [&]() -> Status {
    Result<FunctionRef> function = resolve(id);
    if (!function) return std::unexpected(function.error());
    Result<Function> before = load(id);
    if (!before) return std::unexpected(before.error());
    if (before->active && before->active->number > version) {
      return fail(Code::kConflict, Component::kRegistry, "version_superseded",
                  "version " + std::to_string(before->active->number) + " is already active");
    }
    Result<Version> exists = load_version(id, version);
    if (!exists) return std::unexpected(exists.error());
    changed = *function;
    Status loaded = Statement(*database_,
                              "UPDATE versions SET reason = '', handler_async = ?3, runtime = ?4"
                              " WHERE function_id = ?1 AND number = ?2")
                        .bind(id, version, handler_async, runtime)
                        .run();
    if (!loaded) return loaded;
    const bool shares = before->active && exists->traffic_percent < kAllTraffic;
    return shares ? make_canary(id, version, exists->traffic_percent) : make_active(id, version);
  });
}

Status Registry::set_failed(std::string_view id, std::int64_t version, std::string_view reason) {
  FunctionRef changed;
  return write(changed, [&]() -> Status {
    Result<FunctionRef> function = resolve(id);
    if (!function) return std::unexpected(function.error());
    changed = *function;
    // An empty reason would mean that nothing is wrong.
    return Statement(*database_, "UPDATE functions SET crash_reason = ?3 WHERE id = ?1 AND active = ?2")
        .bind(id, version, reason.empty() ? std::string_view("its workers crash") : reason)
        .run();
  });
}

Status Registry::set_running(std::string_view id, std::int64_t version) {
  FunctionRef changed;
  return write(changed, [&]() -> Status {
    Result<FunctionRef> function = resolve(id);
    if (!function) return std::unexpected(function.error());
    changed = *function;
    return Statement(*database_, "UPDATE functions SET crash_reason = '' WHERE id = ?1 AND active = ?2")
        .bind(id, version)
        .run();
  });
}

}  // namespace sterna::registry
