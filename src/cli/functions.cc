// sterna list, get, delete, stop, start, versions, rollback.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/report.h"
#include "cli/rollout.h"

namespace sterna::cli {
namespace {

using api::Json;

// For answers of stop and start.
std::string status_text(const Json& function) {
  return fmt::format("{} version {} is {}\n", cell(function, "name"), cell(function, "version"),
                     cell(function, "status"));
}

}  // namespace

Result<int> list_functions(const Target& target) {
  auto space = space_path(target);
  if (!space) return std::unexpected(space.error());
  Api api(target);
  return report_list(target, api.list(*space + "/functions"),
                     {{"NAME", "name"},
                      {"TEMPLATE", "template"},
                      {"STATUS", "status"},
                      {"VERSION", "version"},
                      {"REPLICAS", "metrics.replicas"},
                      {"INVOCATIONS", "metrics.invocations"},
                      {"UPDATED", "updated_at"}});
}

Result<int> get_function(const Target& target, std::string_view name) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report(target, api.get(*path));
}

Result<int> delete_function(const Target& target, std::string_view name) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report_deleted(target, api.send("DELETE", *path), name, fmt::format("{} is deleted\n", name));
}

Result<int> stop_function(const Target& target, std::string_view name) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report(target, api.send("POST", *path + "/stop"), status_text);
}

Result<int> start_function(const Target& target, std::string_view name) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report(target, api.send("POST", *path + "/start"), status_text);
}

Result<int> list_versions(const Target& target, std::string_view name) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report_list(
      target, api.list(*path + "/versions"),
      {{"VERSION", "version"}, {"STATE", "state"}, {"TEMPLATE", "template"}, {"CREATED", "created_at"}});
}

Result<int> rollback(const Target& target, std::string_view name, std::int64_t version) {
  auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  auto made = api.send("POST", *path + "/rollback", Json{{"version", version}});
  if (!made) return std::unexpected(made.error());
  return see_through(api, target, {.functions = {}, .function = *path}, std::move(*made),
                     {.quiet = target.json, .done = "rolled back"});
}

}  // namespace sterna::cli
