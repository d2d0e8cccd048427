// sterna apps create, list, get, update, rotate, delete.
#include <fmt/format.h>

#include <algorithm>

#include "base/names.h"
#include "base/ulid.h"
#include "cli/commands.h"
#include "cli/limit_words.h"
#include "cli/report.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;

Result<std::string> apps_path(const Target& target, OwnerOfApps owner) {
  if (owner == OwnerOfApps::kServer) return "/apps";
  auto path = space_path(target);
  if (path) *path += "/apps";
  return path;
}

Result<std::string> app_path(const Target& target, OwnerOfApps owner, std::string_view app) {
  if (!is_valid_name(app) && !is_ulid(app))
    return bad_usage(fmt::format("'{}' is neither the name nor the id of an app", app));
  auto path = apps_path(target, owner);
  if (path) *path += fmt::format("/{}", app);
  return path;
}

std::string joined(const Json& words) {
  std::string text;
  for (const auto& word : words) text.append(text.empty() ? "" : " ").append(word.get<std::string>());
  return text.empty() ? "-" : text;
}

// What the user has said of the app, for a creation or a merge patch.
Result<Json> fields_of(const AppArgs& args) {
  auto limits = limit_fields(args.limits, LimitsOf::kApp);
  if (!limits) return limits;
  Json fields = std::move(*limits);
  if (!args.scopes.empty()) fields["scopes"] = args.scopes;
  if (!args.functions.empty()) fields["functions"] = args.functions;
  if (args.description) fields["description"] = *args.description;
  if (args.expires_at)
    fields["expires_at"] = args.expires_at->empty() ? Json(nullptr) : Json(*args.expires_at);
  if (args.disabled) fields["disabled"] = *args.disabled;
  return fields;
}

// The one time that the secret can be seen.
Result<int> report_secret(const Target& target, const Result<Json>& answer) {
  auto reported = report(target, answer, [](const Json& app) {
    return fmt::format("client id:      {}\nclient secret:  {}\n", cell(app, "client_id"),
                       cell(app, "client_secret"));
  });
  if (reported && !target.json)
    print_to_stderr(
        fmt::format("The secret is not shown again. Use it with: sterna login --url {} --client-id {}\n",
                    target.url, cell(*answer, "client_id")));
  return reported;
}

}  // namespace

Result<int> create_app(const Target& target, const AppArgs& args) {
  const auto path = apps_path(target, args.owner);
  if (!path) return std::unexpected(path.error());
  auto body = fields_of(args);
  if (!body) return std::unexpected(body.error());
  (*body)["name"] = args.name;
  Api api(target);
  return report_secret(target, api.send("POST", *path, *body));
}

Result<int> list_apps(const Target& target, OwnerOfApps owner) {
  const auto path = apps_path(target, owner);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report_list(target, api.list(*path), {"NAME", "CLIENT ID", "SCOPES", "FUNCTIONS", "STATE"},
                     [](const Json& app) -> Row {
                       return {cell(app, "name"), cell(app, "client_id"),
                               joined(app.value("scopes", Json::array())),
                               joined(app.value("functions", Json::array())),
                               app.value("disabled", false) ? "disabled" : "enabled"};
                     });
}

Result<int> get_app(const Target& target, const AppArgs& args) {
  const auto path = app_path(target, args.owner, args.name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report(target, api.get(*path));
}

Result<int> update_app(const Target& target, const AppArgs& args) {
  const auto path = app_path(target, args.owner, args.name);
  if (!path) return std::unexpected(path.error());
  const auto fields = fields_of(args);
  if (!fields) return std::unexpected(fields.error());
  Api api(target);
  return report(target, api.send("PATCH", *path, *fields));
}

Result<int> rotate_app(const Target& target, const AppArgs& args) {
  const auto path = app_path(target, args.owner, args.name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report_secret(target, api.send("POST", *path + "/rotate"));
}

Result<int> delete_app(const Target& target, const AppArgs& args) {
  const auto path = app_path(target, args.owner, args.name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report_deleted(target, api.send("DELETE", *path), args.name,
                        fmt::format("{} is deleted, and its tokens are revoked\n", args.name));
}

}  // namespace sterna::cli
