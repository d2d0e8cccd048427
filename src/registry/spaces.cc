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
    Status inserted =
        Statement(*database_, "INSERT INTO spaces(id, name, spec, created_at) VALUES(?1, ?2, ?3, ?4)")
            .bind(ids_.next(), spec.name, stored_spec(spec), now)
            .run();
    if (!inserted && inserted.error().code == Code::kConflict) {
      return fail(Code::kConflict, Component::kRegistry, "space_exists",
                  "there already is a space \"" + spec.name + "\"");
    }
    if (!inserted) return std::unexpected(inserted.error());
    return Space{spec, from_ms(now)};
  });
  if (made) tell(Change::Kind::kSpaceMade, {.id = {}, .space = spec.name, .name = {}});
  return made;
}

Result<Space> Registry::find_space(std::string_view name) {
  const std::scoped_lock lock(mutex_);
  Statement query(*database_, "SELECT spec, created_at FROM spaces WHERE name = ?1");
  Result<bool> row = query.bind(name).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return no_space(name);
  return read_space(query);
}

Result<Listed<Space>> Registry::list_spaces(const api::Page& page) {
  const std::scoped_lock lock(mutex_);
  Statement query(*database_, "SELECT spec, created_at FROM spaces WHERE name > ?1 ORDER BY name LIMIT ?2");
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
  Status done = write({}, [&]() -> Status {
    Status updated = Statement(*database_, "UPDATE spaces SET spec = ?2 WHERE name = ?1")
                         .bind(spec.name, stored_spec(spec))
                         .run();
    if (updated && database_->changed_rows() == 0) return no_space(spec.name);
    return updated;
  });
  if (!done) return std::unexpected(done.error());
  return find_space(spec.name);
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
