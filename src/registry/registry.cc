#include "registry/registry.h"

#include "registry/rows.h"
#include "registry/schema.h"
#include "registry/write.h"
#include "store/migrations.h"
#include "store/statement.h"

namespace sterna::registry {

using store::Statement;

Registry::Registry(std::unique_ptr<store::Database> database, const Clock& clock, std::int64_t kept_versions)
    : clock_(clock), kept_versions_(kept_versions), database_(std::move(database)), ids_(clock) {}

Result<std::unique_ptr<Registry>> Registry::open(const std::string& path, const Clock& clock,
                                                 std::int64_t kept_versions) {
  Result<std::unique_ptr<store::Database>> database = store::Database::open(path);
  if (!database) return std::unexpected(database.error());
  if (Status done = store::migrate(**database, schema_steps()); !done) return std::unexpected(done.error());
  std::unique_ptr<Registry> registry(new Registry(std::move(*database), clock, kept_versions));
  if (Status reset =
          registry->database_->execute("UPDATE versions SET state='pending' WHERE state='building'");
      !reset) {
    return std::unexpected(reset.error());
  }
  if (Status made = registry->make_missing_secrets(); !made) return std::unexpected(made.error());
  if (!registry->find_space(api::kDefaultSpace)) {
    Result<Space> made = registry->create_space({std::string(api::kDefaultSpace), {}});
    if (!made) return std::unexpected(made.error());
  }
  return registry;
}

void Registry::tell(Change::Kind kind, const FunctionRef& function) const {
  if (listener_) listener_({kind, function});
}

Result<FunctionRef> Registry::resolve(std::string_view space, std::string_view name) {
  Result<std::string> in = space_id(space);
  if (!in) return std::unexpected(in.error());
  Statement query(*database_, "SELECT id FROM functions WHERE space_id = ?1 AND name = ?2");
  Result<bool> row = query.bind(*in, name).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return no_function(name);
  return FunctionRef{query.text(0), std::string(space), std::string(name)};
}

Result<FunctionRef> Registry::resolve(std::string_view id) {
  Statement query(
      *database_,
      "SELECT s.name, f.name FROM functions f JOIN spaces s ON s.id = f.space_id WHERE f.id = ?1");
  Result<bool> row = query.bind(id).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return no_function(id);
  return FunctionRef{std::string(id), query.text(0), query.text(1)};
}

Result<Function> Registry::load(std::string_view id) {
  static const std::string kSql = select_function() + "WHERE f.id = ?1";
  Statement query(*database_, kSql);
  Result<bool> row = query.bind(id).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return no_function(id);
  return read_function(query);
}

Result<Function> Registry::touch(std::string_view id) {
  Status done =
      Statement(*database_, "UPDATE functions SET updated_at = ?2 WHERE id = ?1").bind(id, now_ms()).run();
  if (!done) return std::unexpected(done.error());
  return load(id);
}

Status Registry::check_room(std::string_view space, std::string_view space_id) {
  Statement query(*database_, "SELECT count(*) FROM functions WHERE space_id = ?1");
  Result<bool> row = query.bind(space_id).step();
  if (!row) return std::unexpected(row.error());
  if (query.integer(0) < kMaxFunctionsPerSpace)
    return check_one_more(space, space_id, {"functions", &api::Quota::functions});
  return fail(Code::kExhausted, Component::kRegistry, "too_many_functions",
              "the space \"" + std::string(space) + "\" has " + std::to_string(kMaxFunctionsPerSpace) +
                  " functions, which is the limit");
}

Result<Function> Registry::create(std::string_view space, const api::FunctionSpec& spec,
                                  std::string_view bundle) {
  FunctionRef made;
  return write(made, [&]() -> Result<Function> {
    Result<std::string> in = space_id(space);
    if (!in) return std::unexpected(in.error());
    if (Status room = check_room(space, *in); !room) return std::unexpected(room.error());
    const std::string id = ids_.next();
    Status inserted = Statement(*database_,
                                "INSERT INTO functions(id, space_id, name, newest, created_at, updated_at)"
                                " VALUES(?1, ?2, ?3, 1, ?4, ?4)")
                          .bind(id, *in, spec.name, now_ms())
                          .run();
    if (!inserted && inserted.error().code == Code::kConflict) {
      return fail(Code::kConflict, Component::kRegistry, "function_exists",
                  "the space \"" + std::string(space) + "\" already has a function \"" + spec.name + "\"");
    }
    if (!inserted) return std::unexpected(inserted.error());
    Version first;
    first.number = 1;
    first.spec = spec;
    first.bundle = bundle;
    if (Status done = insert_version(id, first); !done) return std::unexpected(done.error());
    if (Status room = check_minimum(space, spec.limits); !room) return std::unexpected(room.error());
    made = {id, std::string(space), spec.name};
    return load(id);
  });
}

Result<Function> Registry::find(std::string_view space, std::string_view name) {
  const std::scoped_lock lock(mutex_);
  Result<FunctionRef> function = resolve(space, name);
  if (!function) return std::unexpected(function.error());
  return load(function->id);
}

Result<Function> Registry::find(std::string_view id) {
  const std::scoped_lock lock(mutex_);
  return load(id);
}

Result<Listed<Function>> Registry::list(std::string_view space, const api::Page& page) {
  static const std::string kSql =
      select_function() + "WHERE f.space_id = ?1 AND f.name > ?2 ORDER BY f.name LIMIT ?3";
  const std::scoped_lock lock(mutex_);
  Result<std::string> in = space_id(space);
  if (!in) return std::unexpected(in.error());
  Statement query(*database_, kSql);
  query.bind(*in, page.after, page.limit + 1);
  Listed<Function> listed;
  while (true) {
    Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return listed;
    if (listed.items.size() == page.limit) {
      listed.next_cursor = api::make_cursor(listed.items.back().name);
      return listed;
    }
    Result<Function> function = read_function(query);
    if (!function) return std::unexpected(function.error());
    listed.items.push_back(std::move(*function));
  }
}

Status Registry::try_write() {
  const std::scoped_lock lock(mutex_);
  return database_->try_write();
}

Result<std::vector<Function>> Registry::snapshot() {
  const std::scoped_lock lock(mutex_);
  Statement query(*database_, select_function());
  std::vector<Function> functions;
  while (true) {
    Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return functions;
    Result<Function> function = read_function(query);
    if (!function) return std::unexpected(function.error());
    functions.push_back(std::move(*function));
  }
}

Result<Orphans> Registry::remove(std::string_view space, std::string_view name) {
  FunctionRef gone;
  Result<Orphans> orphans = write({}, [&]() -> Result<Orphans> {
    Result<FunctionRef> function = resolve(space, name);
    if (!function) return std::unexpected(function.error());
    gone = *function;
    Result<std::vector<std::string>> used =
        bundles_of("SELECT DISTINCT bundle FROM versions WHERE function_id = ?1", gone.id);
    if (!used) return std::unexpected(used.error());
    Status done = Statement(*database_, "DELETE FROM functions WHERE id = ?1").bind(gone.id).run();
    if (!done) return std::unexpected(done.error());
    return unused_of(*used);
  });
  if (orphans) tell(Change::Kind::kDeleted, gone);
  return orphans;
}

Result<Function> Registry::stop(std::string_view space, std::string_view name) {
  FunctionRef changed;
  return write(changed, [&]() -> Result<Function> {
    Result<FunctionRef> function = resolve(space, name);
    if (!function) return std::unexpected(function.error());
    changed = *function;
    Status done =
        Statement(*database_, "UPDATE functions SET stopped = 1 WHERE id = ?1").bind(changed.id).run();
    if (!done) return std::unexpected(done.error());
    return touch(changed.id);
  });
}

Result<Function> Registry::start(std::string_view space, std::string_view name) {
  FunctionRef changed;
  return write(changed, [&]() -> Result<Function> {
    Result<FunctionRef> function = resolve(space, name);
    if (!function) return std::unexpected(function.error());
    changed = *function;
    // Where an older version runs well, a failed newest one stays failed: starting is for what does not run.
    Status again =
        Statement(
            *database_,
            "UPDATE versions SET state = 'pending', reason = '' WHERE function_id = ?1 AND state = 'failed'"
            " AND number = (SELECT newest FROM functions WHERE id = ?1"
            " AND (active IS NULL OR crash_reason <> ''))")
            .bind(changed.id)
            .run();
    if (!again) return std::unexpected(again.error());
    Status done = Statement(*database_, "UPDATE functions SET stopped = 0, crash_reason = '' WHERE id = ?1")
                      .bind(changed.id)
                      .run();
    if (!done) return std::unexpected(done.error());
    Result<Function> started = touch(changed.id);
    if (!started) return started;
    if (!started->active && started->newest.bundle.empty())
      return version_has_no_code(started->newest.number);
    const Version& runs = started->active && !started->wants_loading() ? *started->active : started->newest;
    if (Status room = check_minimum(space, runs.spec.limits); !room) return std::unexpected(room.error());
    return started;
  });
}

}  // namespace sterna::registry
