// sterna debug sandbox: what keeps a function in.
#include "cli/commands.h"
#include "cli/report.h"

namespace sterna::cli {

Result<int> show_sandbox(const Target& target, std::string_view name) {
  const auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report(target, api.get(*path + "/sandbox"));
}

}  // namespace sterna::cli
