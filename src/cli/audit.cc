// sterna audit.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/report.h"

namespace sterna::cli {
namespace {

using api::Json;

std::string who(const Json& entry) {
  const auto app = entry.find("app");
  return app != entry.end() && app->is_object() ? cell(*app, "name") : "-";
}

// An entry may stand for many calls that failed alike.
std::string why(const Json& entry) {
  const auto left_out = entry.find("left_out");
  if (left_out == entry.end() || !left_out->is_number_integer() || *left_out == 0)
    return cell(entry, "reason");
  return fmt::format("{} ({} calls)", cell(entry, "reason"), left_out->get<std::int64_t>());
}

}  // namespace

Result<int> show_audit(const Target& target, OwnerOfApps owner, std::size_t limit) {
  Result<std::string> path = owner == OwnerOfApps::kServer ? std::string() : space_path(target);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report_list(target, api.list(*path + "/audit", limit),
                     {"AT", "APP", "ADDRESS", "METHOD", "PATH", "STATUS", "REASON"},
                     [](const Json& entry) -> Row {
                       return {cell(entry, "at"),
                               who(entry),
                               cell(entry, "address"),
                               cell(entry, "method"),
                               cell(entry, "path"),
                               cell(entry, "status"),
                               why(entry)};
                     });
}

}  // namespace sterna::cli
