#include <fmt/format.h>

#include "registry/registry.h"
#include "registry/rows.h"
#include "store/statement.h"

namespace sterna::registry {

using store::Statement;

namespace {

// Of the functions that are not stopped, as the user wants them now: the newest version's as long as it is to
// be loaded, else those of what gets calls.
constexpr std::string_view kMinimum =
    "SELECT coalesce(sum(least), 0), coalesce(sum(memory), 0) FROM"
    " (SELECT max(json_extract(v.spec, '$.limits.min_replicas')) AS least,"
    " max(json_extract(v.spec, '$.limits.min_replicas') * json_extract(v.spec, '$.limits.memory_mb'))"
    " AS memory"
    " FROM functions f JOIN versions n ON n.function_id = f.id AND n.number = f.newest"
    " JOIN versions v ON v.function_id = f.id AND v.number IN"
    " (CASE WHEN n.state IN ('pending', 'building') THEN f.newest ELSE coalesce(f.active, f.newest) END,"
    " f.canary) WHERE f.space_id = ?1 AND f.stopped = 0 GROUP BY f.id)";

Result<std::int64_t> count_of(store::Database& database, const std::string& table,
                              std::string_view space_id) {
  Statement query(database, "SELECT count(*) FROM " + table + " WHERE space_id = ?1");
  const Result<bool> row = query.bind(space_id).step();
  if (!row) return std::unexpected(row.error());
  return query.integer(0);
}

}  // namespace

std::unexpected<Error> quota_exceeded(std::string_view what, std::int64_t limit, std::string_view used) {
  return fail(
      Code::kConflict, Component::kRegistry, "quota_exceeded",
      fmt::format("the space's quota.{} is {}, and {}; use less, or have an app of the server raise it", what,
                  limit, used));
}

Result<api::Quota> Registry::load_quota(std::string_view space) {
  const Result<Space> found = load_space(space);
  if (!found) return std::unexpected(found.error());
  return with_defaults(found->spec.quota, default_quota_);
}

Result<api::Quota> Registry::quota_of(std::string_view space) {
  const std::scoped_lock lock(mutex_);
  return load_quota(space);
}

Status Registry::check_one_more(std::string_view space, std::string_view space_id,
                                const api::QuotaField& field) {
  const Result<api::Quota> quota = load_quota(space);
  if (!quota) return std::unexpected(quota.error());
  const Result<std::int64_t> used = count_of(*database_, std::string(field.name), space_id);
  if (!used) return std::unexpected(used.error());
  const std::optional<std::int64_t>& limit = (*quota).*field.value;
  if (!api::is_over(limit, *used + 1)) return {};
  return quota_exceeded(field.name, *limit, fmt::format("it has {} {}", *used, field.name));
}

Status Registry::check_minimum(std::string_view space, const api::Limits& limits) {
  const Result<api::Quota> quota = load_quota(space);
  if (!quota) return std::unexpected(quota.error());
  if (api::is_over(quota->memory_mb, limits.memory_mb)) {
    return quota_exceeded(
        "memory_mb", *quota->memory_mb,
        fmt::format("one replica of the function has limits.memory_mb {}", limits.memory_mb));
  }
  if (limits.min_replicas == 0) return {};
  const Result<std::string> id = space_id(space);
  if (!id) return std::unexpected(id.error());
  Statement query(*database_, kMinimum);
  const Result<bool> row = query.bind(*id).step();
  if (!row) return std::unexpected(row.error());
  if (const std::int64_t replicas = query.integer(0); api::is_over(quota->replicas, replicas)) {
    return quota_exceeded("replicas", *quota->replicas,
                          fmt::format("limits.min_replicas of its functions would be {} together", replicas));
  }
  if (const std::int64_t memory = query.integer(1); api::is_over(quota->memory_mb, memory)) {
    return quota_exceeded("memory_mb", *quota->memory_mb,
                          fmt::format("limits.min_replicas of its functions would take {} MiB", memory));
  }
  return {};
}

Result<SpaceCounts> Registry::count(std::string_view space) {
  const std::scoped_lock lock(mutex_);
  const Result<std::string> id = space_id(space);
  if (!id) return std::unexpected(id.error());
  SpaceCounts counts;
  for (const auto& [table, value] :
       {std::pair{"functions", &SpaceCounts::functions}, std::pair{"secrets", &SpaceCounts::secrets},
        std::pair{"apps", &SpaceCounts::apps}}) {
    const Result<std::int64_t> used = count_of(*database_, table, *id);
    if (!used) return std::unexpected(used.error());
    counts.*value = *used;
  }
  return counts;
}

Result<std::vector<std::string>> Registry::bundles(std::string_view space) {
  const std::scoped_lock lock(mutex_);
  const Result<std::string> id = space_id(space);
  if (!id) return std::unexpected(id.error());
  return bundles_of(
      "SELECT DISTINCT v.bundle FROM versions v JOIN functions f ON f.id = v.function_id"
      " WHERE f.space_id = ?1 AND v.bundle <> ''",
      *id);
}

}  // namespace sterna::registry
