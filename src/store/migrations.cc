#include "store/migrations.h"

#include <string>
#include <utility>

#include "store/statement.h"

namespace sterna::store {

namespace {

Status migrate_steps(Database& database, std::span<const std::string_view> steps) {
  const int newest = static_cast<int>(steps.size());
  Result<int> version = database.schema_version();
  if (!version) return std::unexpected(version.error());
  if (*version > newest) {
    return fail(Code::kConflict, Component::kRegistry, "database_too_new",
                "the database has schema version " + std::to_string(*version) +
                    ", this program knows versions up to " + std::to_string(newest) +
                    ": use the newer program that wrote it, or another data directory");
  }
  for (int next = *version; next < newest; ++next) {
    Status done = transact(database, [&]() -> Status {
      return database.execute(std::string(steps[static_cast<std::size_t>(next)]) +
                              ";PRAGMA user_version=" + std::to_string(next + 1));
    });
    if (!done) return done;
  }
  return {};
}

}  // namespace

Status migrate(Database& database, std::span<const std::string_view> steps) {
  Status done = migrate_steps(database, steps);
  if (!done) return std::unexpected(of_file(std::move(done.error()), database.path()));
  return done;
}

}  // namespace sterna::store
