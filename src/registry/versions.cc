#include "base/number.h"
#include "registry/registry.h"
#include "registry/rows.h"
#include "registry/write.h"
#include "store/statement.h"

namespace sterna::registry {

using store::Statement;

namespace {

const std::string kSelectVersions = "SELECT " + version_columns() + " FROM versions WHERE function_id = ?1 ";

}  // namespace

Status Registry::insert_version(std::string_view id, const Version& version) {
  return Statement(*database_,
                   "INSERT INTO versions(function_id, number, spec, bundle, state, handler_async, created_at,"
                   " traffic_percent, layer) VALUES(?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?8)")
      .bind(id, version.number, stored_spec(version.spec), version.bundle, version.handler_async, now_ms(),
            version.traffic_percent, version.layer)
      .run();
}

Result<Version> Registry::load_version(std::string_view id, std::int64_t number) {
  static const std::string kSql = kSelectVersions + "AND number = ?2";
  Statement query(*database_, kSql);
  Result<bool> row = query.bind(id, number).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return no_version(number);
  return read_version(query, 0);
}

// `version.number` is set here. Older versions that have not been loaded yet need not be any more.
Result<Saved> Registry::add_version(const FunctionRef& function, Version version) {
  Statement next(*database_, "UPDATE functions SET newest = newest + 1 WHERE id = ?1 RETURNING newest");
  Result<bool> row = next.bind(function.id).step();
  if (!row) return std::unexpected(row.error());
  version.number = next.integer(0);
  if (Status end = next.run(); !end) return std::unexpected(end.error());
  Status superseded = Statement(*database_,
                                "UPDATE versions SET state = 'retired' WHERE function_id = ?1"
                                " AND state IN ('pending', 'building')")
                          .bind(function.id)
                          .run();
  if (!superseded) return std::unexpected(superseded.error());
  if (Status done = insert_version(function.id, version); !done) return std::unexpected(done.error());
  Result<Orphans> orphans = prune(function.id);
  if (!orphans) return std::unexpected(orphans.error());
  Result<Function> saved = touch(function.id);
  if (!saved) return std::unexpected(saved.error());
  return Saved{std::move(*saved), std::move(*orphans)};
}

Result<Saved> Registry::update(std::string_view space, std::string_view name, const api::FunctionSpec& spec,
                               const std::optional<std::string>& bundle, int traffic_percent) {
  STERNA_ASSERT(spec.name == name);
  FunctionRef changed;
  return write(changed, [&]() -> Result<Saved> {
    Result<FunctionRef> function = resolve(space, name);
    if (!function) return std::unexpected(function.error());
    changed = *function;
    Result<Function> before = load(changed.id);
    if (!before) return std::unexpected(before.error());
    const api::Limits limits = before->newest.spec.limits;
    Version version = std::move(before->newest);
    // What was built stays good as long as the same is built in the same way.
    if (version.spec.template_name != spec.template_name) version.layer.clear();
    version.spec = spec;
    version.traffic_percent = traffic_percent;
    if (bundle && *bundle != version.bundle) {
      version.layer.clear();
      version.bundle = *bundle;
      version.handler_async.reset();
    }
    return add_checked(changed, std::move(version), limits);
  });
}

// What a function had before it may keep, even if the quota has become smaller.
Result<Saved> Registry::add_checked(const FunctionRef& function, Version version, const api::Limits& before) {
  const api::Limits wanted = version.spec.limits;
  Result<Saved> saved = add_version(function, std::move(version));
  if (!saved || (wanted.min_replicas <= before.min_replicas && wanted.memory_mb <= before.memory_mb))
    return saved;
  if (Status room = check_minimum(function.space, wanted); !room) return std::unexpected(room.error());
  return saved;
}

Result<Saved> Registry::rollback(std::string_view space, std::string_view name, std::int64_t number) {
  FunctionRef changed;
  return write(changed, [&]() -> Result<Saved> {
    Result<FunctionRef> function = resolve(space, name);
    if (!function) return std::unexpected(function.error());
    changed = *function;
    Result<Version> version = load_version(changed.id, number);
    if (!version) return std::unexpected(version.error());
    if (version->bundle.empty()) return version_has_no_code(number);
    version->traffic_percent = kAllTraffic;
    const Result<Function> before = load(changed.id);
    if (!before) return std::unexpected(before.error());
    return add_checked(changed, std::move(*version), before->newest.spec.limits);
  });
}

Result<Version> Registry::find_version(std::string_view space, std::string_view name, std::int64_t number) {
  const std::scoped_lock lock(mutex_);
  Result<FunctionRef> function = resolve(space, name);
  if (!function) return std::unexpected(function.error());
  return load_version(function->id, number);
}

Result<Listed<Version>> Registry::list_versions(std::string_view space, std::string_view name,
                                                const api::Page& page) {
  static const std::string kSql = kSelectVersions + "AND number < ?2 ORDER BY number DESC LIMIT ?3";
  const auto before = page.after.empty() ? INT64_MAX : parse_number<std::int64_t>(page.after);
  if (!before) {
    return fail(Code::kInvalid, Component::kRegistry, "bad_cursor", "this cursor is of another list");
  }
  const std::scoped_lock lock(mutex_);
  Result<FunctionRef> function = resolve(space, name);
  if (!function) return std::unexpected(function.error());
  Statement query(*database_, kSql);
  query.bind(function->id, *before, page.limit + 1);
  Listed<Version> listed;
  while (true) {
    Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return listed;
    if (listed.items.size() == page.limit) {
      listed.next_cursor = api::make_cursor(std::to_string(listed.items.back().number));
      return listed;
    }
    Result<Version> version = read_version(query, 0);
    if (!version) return std::unexpected(version.error());
    listed.items.push_back(std::move(*version));
  }
}

Result<Orphans> Registry::prune(std::string_view id) {
  Statement remove(*database_,
                   "DELETE FROM versions WHERE function_id = ?1"
                   " AND number <= (SELECT newest FROM functions WHERE id = ?1) - ?2"
                   " AND number IS NOT (SELECT active FROM functions WHERE id = ?1)"
                   " AND number IS NOT (SELECT canary FROM functions WHERE id = ?1) RETURNING bundle");
  remove.bind(id, kept_versions_);
  std::vector<std::string> hashes;
  while (true) {
    Result<bool> row = remove.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return unused_of(hashes);
    hashes.push_back(remove.text(0));
  }
}

Result<Orphans> Registry::unused_of(const std::vector<std::string>& hashes) {
  Orphans orphans;
  for (const std::string& hash : hashes) {
    if (hash.empty()) continue;
    Statement query(*database_, "SELECT 1 FROM versions WHERE bundle = ?1 LIMIT 1");
    Result<bool> used = query.bind(hash).step();
    if (!used) return std::unexpected(used.error());
    if (!*used) orphans.push_back(hash);
  }
  return orphans;
}

Result<std::vector<std::string>> Registry::bundles_of(std::string_view sql, std::string_view key) {
  Statement query(*database_, sql);
  if (!key.empty()) query.bind(key);
  std::vector<std::string> hashes;
  while (true) {
    Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return hashes;
    hashes.push_back(query.text(0));
  }
}

Result<std::vector<std::string>> Registry::bundles() {
  const std::scoped_lock lock(mutex_);
  return bundles_of("SELECT DISTINCT bundle FROM versions WHERE bundle <> ''", "");
}

Result<std::vector<std::pair<std::string, std::string>>> Registry::layers() {
  const std::scoped_lock lock(mutex_);
  Statement query(*database_,
                  "SELECT DISTINCT bundle, layer FROM versions WHERE bundle <> '' AND layer NOT IN ('', ?1)");
  query.bind(kNoLayer);
  std::vector<std::pair<std::string, std::string>> pairs;
  while (true) {
    Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return pairs;
    pairs.emplace_back(query.text(0), query.text(1));
  }
}

Result<Orphans> Registry::unused_bundles(const std::vector<std::string>& hashes) {
  const std::scoped_lock lock(mutex_);
  return unused_of(hashes);
}

}  // namespace sterna::registry
