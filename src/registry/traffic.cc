// Which versions get how much of a function's calls.
#include "registry/registry.h"
#include "registry/rows.h"
#include "registry/write.h"
#include "store/statement.h"

namespace sterna::registry {

using store::Statement;

namespace {

std::unexpected<Error> conflict(std::string reason, std::string detail) {
  return fail(Code::kConflict, Component::kRegistry, std::move(reason), std::move(detail));
}

}  // namespace

Status Registry::make_active(std::string_view id, std::int64_t number) {
  Status retired = Statement(*database_,
                             "UPDATE versions SET state = 'retired' WHERE function_id = ?1"
                             " AND state IN ('active', 'canary')")
                       .bind(id)
                       .run();
  if (!retired) return retired;
  Status active = Statement(*database_,
                            "UPDATE versions SET state = 'active', traffic_percent = ?3"
                            " WHERE function_id = ?1 AND number = ?2")
                      .bind(id, number, kAllTraffic)
                      .run();
  if (!active) return active;
  return Statement(*database_,
                   "UPDATE functions SET active = ?2, canary = NULL, crash_reason = '' WHERE id = ?1")
      .bind(id, number)
      .run();
}

Status Registry::make_canary(std::string_view id, std::int64_t number, int percent) {
  Status retired =
      Statement(*database_,
                "UPDATE versions SET state = 'retired' WHERE function_id = ?1 AND state = 'canary'")
          .bind(id)
          .run();
  if (!retired) return retired;
  Status canary = Statement(*database_,
                            "UPDATE versions SET state = 'canary', traffic_percent = ?3"
                            " WHERE function_id = ?1 AND number = ?2")
                      .bind(id, number, percent)
                      .run();
  if (!canary) return canary;
  return Statement(*database_, "UPDATE functions SET canary = ?2 WHERE id = ?1").bind(id, number).run();
}

Result<Function> Registry::set_traffic(std::string_view space, std::string_view name, std::int64_t number,
                                       int percent) {
  STERNA_ASSERT(percent > 0 && percent <= kAllTraffic);
  FunctionRef changed;
  return write(changed, [&]() -> Result<Function> {
    Result<FunctionRef> function = resolve(space, name);
    if (!function) return std::unexpected(function.error());
    changed = *function;
    Result<Function> before = load(changed.id);
    if (!before) return before;
    Result<Version> version = load_version(changed.id, number);
    if (!version) return std::unexpected(version.error());
    if (version->bundle.empty()) return version_has_no_code(number);
    if (!before->active || version->runtime.empty() || version->state == VersionState::kFailed) {
      return conflict("version_not_loaded", "version " + std::to_string(number) +
                                                " has never run, so it gets no calls; its state is " +
                                                std::string(to_string(version->state)));
    }
    const bool is_active = before->active->number == number;
    if (is_active && percent < kAllTraffic) {
      return conflict("version_is_active",
                      "version " + std::to_string(number) +
                          " is the active one and gets what others leave: name the other one");
    }
    Status done =
        percent == kAllTraffic ? make_active(changed.id, number) : make_canary(changed.id, number, percent);
    if (!done) return std::unexpected(done.error());
    const api::Limits& wanted = version->spec.limits;
    const api::Limits& had = before->active->spec.limits;
    if (wanted.min_replicas > had.min_replicas || wanted.memory_mb > had.memory_mb) {
      if (Status room = check_minimum(changed.space, wanted); !room) return std::unexpected(room.error());
    }
    return touch(changed.id);
  });
}

Status Registry::fail_canary(std::string_view id, std::int64_t version, std::string_view reason) {
  FunctionRef changed;
  return write(changed, [&]() -> Status {
    Result<FunctionRef> function = resolve(id);
    if (!function) return std::unexpected(function.error());
    changed = *function;
    Status failed = Statement(*database_,
                              "UPDATE versions SET state = 'failed', reason = ?3 WHERE function_id = ?1"
                              " AND number = ?2 AND state = 'canary'")
                        .bind(id, version, reason)
                        .run();
    if (!failed) return failed;
    return Statement(*database_, "UPDATE functions SET canary = NULL WHERE id = ?1 AND canary = ?2")
        .bind(id, version)
        .run();
  });
}

}  // namespace sterna::registry
