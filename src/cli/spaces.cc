// sterna spaces list, get, create, delete, callback-allow, limits, signing-secret.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/limit_words.h"
#include "cli/report.h"

namespace sterna::cli {
namespace {

using api::Json;

// The path of the space `name` itself, whatever --space says.
Result<std::string> path_of(std::string_view name) {
  Target target;
  target.space = name;
  return space_path(target);
}

// A number or "-" where there is no limit.
std::string shown(const Json& object, const std::string& key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? "-" : found->dump();
}

std::string limits_table(const Json& space) {
  std::vector<Row> rows = {{"", "LIMIT", "USED"}};
  for (const auto& [key, value] : space.value("rate_limit", Json::object()).items())
    rows.push_back({key, value.is_null() ? "default" : value == 0 ? "-" : value.dump(), ""});
  for (const auto& [key, value] : space.value("usage", Json::object()).items())
    rows.push_back({key, shown(value, "limit"), shown(value, "used")});
  return format_table(rows);
}

}  // namespace

Result<int> list_spaces(const Target& target) {
  Api api(target);
  return report_list(target, api.list("/spaces"), {{"NAME", "name"}, {"CREATED", "created_at"}});
}

Result<int> create_space(const Target& target, std::string_view name) {
  Api api(target);
  return report(target, api.send("POST", "/spaces", Json{{"name", name}}),
                [name](const Json&) { return fmt::format("{} is created\n", name); });
}

Result<int> delete_space(const Target& target, std::string_view name, DeleteSpace mode) {
  auto path = path_of(name);
  if (!path) return std::unexpected(path.error());
  if (mode == DeleteSpace::kWithFunctions) *path += "?force=true";
  Api api(target);
  return report_deleted(target, api.send("DELETE", *path), name, fmt::format("{} is deleted\n", name));
}

Result<int> get_space(const Target& target, std::string_view name) {
  auto path = path_of(name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report(target, api.get(*path));
}

Result<int> set_callback_allow(const Target& target, std::string_view name,
                               const std::vector<std::string>& allow) {
  auto path = path_of(name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report(target, api.send("PATCH", *path, Json{{"callback_allow", allow}}));
}

Result<int> limit_space(const Target& target, std::string_view name, const std::vector<std::string>& limits) {
  auto path = path_of(name);
  if (!path) return std::unexpected(path.error());
  const auto fields = limit_fields(limits, LimitsOf::kSpace);
  if (!fields) return std::unexpected(fields.error());
  Api api(target);
  return report(target, limits.empty() ? api.get(*path) : api.send("PATCH", *path, *fields), limits_table);
}

Result<int> show_signing_secret(const Target& target, std::string_view name, SigningSecret mode) {
  auto path = path_of(name);
  if (!path) return std::unexpected(path.error());
  *path += "/signing-secret";
  Api api(target);
  return report(target,
                mode == SigningSecret::kRotate ? api.send("POST", *path + "/rotate") : api.get(*path));
}

}  // namespace sterna::cli
