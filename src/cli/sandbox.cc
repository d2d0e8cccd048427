// sterna debug sandbox: what keeps a function in.
#include "cli/commands.h"
#include "cli/text.h"

namespace sterna::cli {

Result<int> show_sandbox(const Target& target, std::string_view name) {
  const auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  const auto shown = api.get(*path + "/sandbox");
  if (!shown) return std::unexpected(shown.error());
  if (target.json) {
    print_json(*shown);
  } else {
    print(format_object(*shown));
  }
  return kExitOk;
}

}  // namespace sterna::cli
