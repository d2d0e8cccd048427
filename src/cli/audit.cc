// sterna audit.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;

std::string who(const Json& entry) {
  const auto app = entry.find("app");
  return app != entry.end() && app->is_object() ? cell(*app, "name") : "-";
}

}  // namespace

Result<int> show_audit(const Target& target, OwnerOfApps owner, std::size_t limit) {
  Result<std::string> path = owner == OwnerOfApps::kServer ? std::string() : space_path(target);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  const auto items = api.list(*path + "/audit", limit);
  if (!items) return std::unexpected(items.error());
  if (target.json) {
    print_json(Json{{"data", *items}});
    return kExitOk;
  }
  std::vector<Row> rows = {{"AT", "APP", "ADDRESS", "METHOD", "PATH", "STATUS", "REASON"}};
  for (const Json& entry : *items) {
    rows.push_back({cell(entry, "at"), who(entry), cell(entry, "address"), cell(entry, "method"),
                    cell(entry, "path"), cell(entry, "status"), cell(entry, "reason")});
  }
  print(format_table(rows));
  return kExitOk;
}

}  // namespace sterna::cli
