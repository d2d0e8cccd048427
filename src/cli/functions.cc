// sterna list, get, delete, stop, start, versions, rollback.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;

// Prints a list as a table of `columns` (heading and field), or as it is with --json.
void print_list(const Target& target, const Json& items,
                const std::vector<std::pair<std::string, std::string>>& columns) {
  if (target.json) {
    print_json(Json{{"data", items}});
    return;
  }
  std::vector<Row> rows(1);
  for (const auto& [heading, field] : columns) rows.front().push_back(heading);
  for (const auto& item : items) {
    Row& row = rows.emplace_back();
    for (const auto& [heading, field] : columns) row.push_back(cell(item, field));
  }
  print(format_table(rows));
}

// Answers of stop, start, and rollback: the function as it is now.
Result<int> report_status(const Target& target, const Result<Json>& function) {
  if (!function) return std::unexpected(function.error());
  if (target.json) {
    print_json(*function);
  } else {
    print(fmt::format("{} version {} is {}\n", cell(*function, "name"), cell(*function, "version"),
                      cell(*function, "status")));
  }
  return kExitOk;
}

}  // namespace

Result<int> list_functions(const Target& target) {
  auto space = space_path(target);
  if (!space) return std::unexpected(space.error());
  Api api(target);
  auto items = api.list(*space + "/functions");
  if (!items) return std::unexpected(items.error());
  print_list(target, *items,
             {{"NAME", "name"},
              {"TEMPLATE", "template"},
              {"STATUS", "status"},
              {"VERSION", "version"},
              {"REPLICAS", "metrics.replicas"},
              {"INVOCATIONS", "metrics.invocations"},
              {"UPDATED", "updated_at"}});
  return kExitOk;
}

Result<int> get_function(const Target& target, std::string_view name) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  auto function = api.get(*path);
  if (!function) return std::unexpected(function.error());
  if (target.json) {
    print_json(*function);
    return kExitOk;
  }
  print(format_object(*function));
  return kExitOk;
}

Result<int> delete_function(const Target& target, std::string_view name) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  if (auto done = api.send("DELETE", *path); !done) return std::unexpected(done.error());
  if (!target.json) print(fmt::format("{} is deleted\n", name));
  return kExitOk;
}

Result<int> stop_function(const Target& target, std::string_view name) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report_status(target, api.send("POST", *path + "/stop"));
}

Result<int> start_function(const Target& target, std::string_view name) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report_status(target, api.send("POST", *path + "/start"));
}

Result<int> list_versions(const Target& target, std::string_view name) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  auto items = api.list(*path + "/versions");
  if (!items) return std::unexpected(items.error());
  print_list(
      target, *items,
      {{"VERSION", "version"}, {"STATE", "state"}, {"TEMPLATE", "template"}, {"CREATED", "created_at"}});
  return kExitOk;
}

Result<int> rollback(const Target& target, std::string_view name, std::int64_t version) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report_status(target, api.send("POST", *path + "/rollback", Json{{"version", version}}));
}

}  // namespace sterna::cli
