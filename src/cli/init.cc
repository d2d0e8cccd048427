// sterna init: a folder to begin with.
#include <fmt/format.h>

#include <fstream>

#include "base/names.h"
#include "cli/commands.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPythonHandler = R"py("""{name}: a function for Sterna.

Deploy it, call it, read what it logged:

    sterna deploy {name}
    sterna invoke {name} -p '/some/path?who=you'
    sterna logs {name}
"""


def handle(req):
    # req has method, path, query, headers, and body (bytes). print() and logging go to the function's logs.
    who = req.query.get("who", "world")
    print(f"{{req.method}} {{req.path}}")
    return {{
        "status_code": 200,
        "headers": {{"Content-Type": "application/json"}},
        "body": {{"hello": who, "path": req.path}},
    }}
)py";

constexpr std::string_view kManifest =
    R"toml(# The fields are those of the API's JSON; what is left out has its default.
name = "{name}"
description = ""
template = "{template}"

[env]
# GREETING = "hello"

[limits]
timeout_seconds = 30
memory_mb = 128
max_replicas = 4
)toml";

Status write_file(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out) return bad_usage(fmt::format("cannot write {}", file.native()));
  return {};
}

}  // namespace

Result<int> init(std::string_view name, std::string_view template_name) {
  if (!is_valid_name(name)) return bad_usage(fmt::format("'{}' cannot be a function: {}", name, kNameRule));
  if (template_name != "python3-http" && template_name != "python3") {
    return bad_usage(fmt::format("there is no template '{}' to begin with; use python3-http", template_name));
  }
  const fs::path folder(name);
  std::error_code error;
  if (!fs::create_directory(folder, error)) {
    return bad_usage(error ? fmt::format("cannot make the folder {}: {}", name, error.message())
                           : fmt::format("the folder {} is there already", name));
  }
  const std::string handler = fmt::format(kPythonHandler, fmt::arg("name", name));
  const std::string manifest =
      fmt::format(kManifest, fmt::arg("name", name), fmt::arg("template", template_name));
  if (auto written = write_file(folder / "handler.py", handler); !written)
    return std::unexpected(written.error());
  if (auto written = write_file(folder / "function.toml", manifest); !written)
    return std::unexpected(written.error());
  print(fmt::format("{0}/handler.py and {0}/function.toml are written. Next: sterna deploy {0}\n", name));
  return kExitOk;
}

}  // namespace sterna::cli
