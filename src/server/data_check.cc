#include "server/data_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/database.h"
#include "store/statement.h"

namespace sterna::server {
namespace {

namespace fs = std::filesystem;

// Whether the file is no database that was ever used, such as a copy without its log.
Result<bool> is_new(const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return true;
  auto database = store::Database::open(file.string());
  if (!database) return std::unexpected(database.error());
  const Result<int> version = (*database)->schema_version();
  if (!version) return std::unexpected(version.error());
  return *version == 0;
}

// The store makes its own folders in an empty one.
bool holds_code(const fs::path& bundles) {
  constexpr std::size_t kHashLength = 64;
  std::error_code ignored;
  fs::directory_iterator entries(bundles, ignored);
  return std::ranges::any_of(begin(entries), end(entries), [](const fs::directory_entry& entry) {
    return entry.path().filename().native().size() == kHashLength;
  });
}

Result<bool> holds_calls(const fs::path& file) {
  const auto fresh = is_new(file);
  if (!fresh) return fresh;
  if (*fresh) return false;
  auto database = store::Database::open(file.string());
  if (!database) return std::unexpected(database.error());
  return store::Statement(**database, "SELECT 1 FROM lanes LIMIT 1").step();
}

}  // namespace

Status check_data(const fs::path& data_dir) {
  const auto fresh = is_new(data_dir / "sterna.db");
  if (!fresh) return std::unexpected(fresh.error());
  if (!*fresh) return {};
  const bool code = holds_code(data_dir / "bundles");
  const auto calls = holds_calls(data_dir / "queue.db");
  if (!calls) return std::unexpected(calls.error());
  if (!code && !*calls) return {};
  const std::string_view left = code && *calls ? "code (bundles/) and calls (queue.db)"
                                : code         ? "code (bundles/)"
                                               : "calls (queue.db)";
  return fail(
      Code::kInvalid, Component::kRegistry, "registry_missing",
      fmt::format("sterna.db in {} is missing or empty; without it the start would remove the {} that "
                  "belong to it: put it back with its sterna.db-wal, or move bundles/ and queue.db away "
                  "to begin anew",
                  data_dir.string(), left));
}

}  // namespace sterna::server
