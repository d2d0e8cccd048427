// sterna spaces list, create, delete.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/text.h"

namespace sterna::cli {

Result<int> list_spaces(const Target& target) {
  Api api(target);
  auto items = api.list("/spaces");
  if (!items) return std::unexpected(items.error());
  if (target.json) {
    print_json(api::Json{{"data", *items}});
    return kExitOk;
  }
  std::vector<Row> rows = {{"NAME", "CREATED"}};
  for (const auto& space : *items) rows.push_back({cell(space, "name"), cell(space, "created_at")});
  print(format_table(rows));
  return kExitOk;
}

Result<int> create_space(const Target& target, std::string_view name) {
  Api api(target);
  auto space = api.send("POST", "/spaces", api::Json{{"name", name}});
  if (!space) return std::unexpected(space.error());
  if (target.json) {
    print_json(*space);
  } else {
    print(fmt::format("{} is created\n", name));
  }
  return kExitOk;
}

Result<int> delete_space(const Target& target, std::string_view name, DeleteSpace mode) {
  Target in_space = target;
  in_space.space = name;
  auto path = space_path(in_space);
  if (!path) return std::unexpected(path.error());
  if (mode == DeleteSpace::kWithFunctions) *path += "?force=true";
  Api api(target);
  if (auto done = api.send("DELETE", *path); !done) return std::unexpected(done.error());
  if (!target.json) print(fmt::format("{} is deleted\n", name));
  return kExitOk;
}

}  // namespace sterna::cli
