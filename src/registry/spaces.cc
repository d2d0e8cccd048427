#include "api/signing_secret.h"
#include "registry/registry.h"
#include "registry/rows.h"
#include "registry/write.h"
#include "store/statement.h"

namespace sterna::registry {

using store::Statement;

Result<std::string> Registry::space_id(std::string_view space) {
  Statement query(*database_, "SELECT id FROM spaces WHERE name = ?1");
  Result<bool> row = query.bind(space).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return no_space(space);
  return query.text(0);
}

Result<Space> Registry::create_space(const api::SpaceSpec& spec) {
  Result<Space> made = write({}, [&]() -> Result<Space> {
    Statement query(*database_, "SELECT count(*) FROM spaces");
    Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (query.integer(0) >= kMaxSpaces) {
      return fail(Code::kExhausted, Component::kRegistry, "too_many_spaces",
                  "there are " + std::to_string(kMaxSpaces) + " spaces, which is the limit");
    }
    const std::int64_t now = now_ms();
    const std::string secret = api::new_signing_secret();
    Status inserted =
        Statement(*database_,
                  "INSERT INTO spaces(id, name, spec, created_at, secret) VALUES(?1, ?2, ?3, ?4, ?5)")
            .bind(ids_.next(), spec.name, stored_spec(spec), now, secret)
            .run();
    if (!inserted && inserted.error().code == Code::kConflict) {
      return fail(Code::kConflict, Component::kRegistry, "space_exists",
                  "there already is a space \"" + spec.name + "\"");
    }
    if (!inserted) return std::unexpected(inserted.error());
    return Space{.spec = spec,
                 .created_at = from_ms(now),
                 .signing = {.current = secret, .previous = {}, .previous_until = {}}};
  });
  if (made) tell(Change::Kind::kSpaceMade, {.id = {}, .space = spec.name, .name = {}});
  return made;
}

Result<Space> Registry::load_space(std::string_view name) {
  static const std::string kSql = "SELECT " + std::string(kSpaceColumns) + " FROM spaces WHERE name = ?1";
  Statement query(*database_, kSql);
  Result<bool> row = query.bind(name).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return no_space(name);
  Result<Space> space = read_space(query);
  if (space && !space->signing.previous_holds(clock_.wall())) space->signing.previous.clear();
  return space;
}

Result<Space> Registry::find_space(std::string_view name) {
  const std::scoped_lock lock(mutex_);
  return load_space(name);
}

Result<Listed<Space>> Registry::list_spaces(const api::Page& page) {
  const std::scoped_lock lock(mutex_);
  static const std::string kSql =
      "SELECT " + std::string(kSpaceColumns) + " FROM spaces WHERE name > ?1 ORDER BY name LIMIT ?2";
  Statement query(*database_, kSql);
  query.bind(page.after, page.limit + 1);
  Listed<Space> listed;
  while (true) {
    Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return listed;
    if (listed.items.size() == page.limit) {
      listed.next_cursor = api::make_cursor(listed.items.back().spec.name);
      return listed;
    }
    Result<Space> space = read_space(query);
    if (!space) return std::unexpected(space.error());
    listed.items.push_back(std::move(*space));
  }
}

Result<Space> Registry::update_space(const api::SpaceSpec& spec) {
  Result<Space> space = write({}, [&]() -> Result<Space> {
    Status updated = Statement(*database_, "UPDATE spaces SET spec = ?2 WHERE name = ?1")
                         .bind(spec.name, stored_spec(spec))
                         .run();
    if (!updated) return std::unexpected(updated.error());
    return load_space(spec.name);
  });
  if (space) tell(Change::Kind::kSpaceChanged, {.id = {}, .space = spec.name, .name = {}});
  return space;
}

Result<Space> Registry::rotate_signing_secret(std::string_view name) {
  Result<Space> space = write({}, [&]() -> Result<Space> {
    const WallTime until = clock_.wall() + kPreviousSecretHolds;
    Status updated = Statement(*database_,
                               "UPDATE spaces SET previous_secret = secret, previous_until = ?3,"
                               " secret = ?2 WHERE name = ?1")
                         .bind(name, api::new_signing_secret(), until.time_since_epoch().count())
                         .run();
    if (!updated) return std::unexpected(updated.error());
    return load_space(name);
  });
  if (space) tell(Change::Kind::kSpaceChanged, {.id = {}, .space = std::string(name), .name = {}});
  return space;
}

// Of spaces that were made before there were any.
Status Registry::make_missing_secrets() {
  return write({}, [&]() -> Status {
    std::vector<std::string> ids;
    Statement query(*database_, "SELECT id FROM spaces WHERE secret = ''");
    while (true) {
      Result<bool> row = query.step();
      if (!row) return std::unexpected(row.error());
      if (!*row) break;
      ids.push_back(query.text(0));
    }
    for (const std::string& id : ids) {
      Status updated = Statement(*database_, "UPDATE spaces SET secret = ?2 WHERE id = ?1")
                           .bind(id, api::new_signing_secret())
                           .run();
      if (!updated) return updated;
    }
    return {};
  });
}

Result<Orphans> Registry::delete_space(std::string_view name, Force force) {
  if (name == api::kDefaultSpace) {
    return fail(Code::kConflict, Component::kRegistry, "space_is_default",
                "the space \"default\" cannot be deleted");
  }
  std::vector<FunctionRef> gone;
  Result<Orphans> orphans = write({}, [&]() -> Result<Orphans> {
    Result<std::string> id = space_id(name);
    if (!id) return std::unexpected(id.error());
    Statement query(*database_, "SELECT id, name FROM functions WHERE space_id = ?1 ORDER BY name");
    query.bind(*id);
    while (true) {
      Result<bool> row = query.step();
      if (!row) return std::unexpected(row.error());
      if (!*row) break;
      gone.push_back({query.text(0), std::string(name), query.text(1)});
    }
    if (!gone.empty() && force == Force::kNo) {
      return fail(Code::kConflict, Component::kRegistry, "space_not_empty",
                  "the space \"" + std::string(name) + "\" has " + std::to_string(gone.size()) +
                      " functions; delete them first, or say force=true");
    }
    Result<std::vector<std::string>> used = bundles_of(
        "SELECT DISTINCT v.bundle FROM versions v JOIN functions f ON f.id = v.function_id"
        " WHERE f.space_id = ?1",
        *id);
    if (!used) return std::unexpected(used.error());
    Status done = Statement(*database_, "DELETE FROM spaces WHERE id = ?1").bind(*id).run();
    if (!done) return std::unexpected(done.error());
    return unused_of(*used);
  });
  if (orphans) {
    for (const FunctionRef& function : gone) tell(Change::Kind::kDeleted, function);
    tell(Change::Kind::kSpaceDeleted, {.id = {}, .space = std::string(name), .name = {}});
  }
  return orphans;
}

}  // namespace sterna::registry
