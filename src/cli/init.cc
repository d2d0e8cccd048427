// sterna init: a folder to begin with.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "api/templates.h"
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

constexpr std::string_view kNodeHandler =
    R"js(// {name}: a function for Sterna. Deploy it, call it, read what it logged:
//
//     sterna deploy {name}
//     sterna invoke {name} -p '/some/path?who=you'
//     sterna logs {name}

// req has method, path, query, headers, body (a Buffer), text(), json(), and signal. console goes to the function's logs.
exports.handle = async (req) => {{
  const who = req.query.get("who") ?? "world";
  console.log(req.method, req.path);
  return {{
    status: 200,
    headers: {{ "Content-Type": "application/json" }},
    body: {{ hello: who, path: req.path }},
  }};
}};
)js";

struct Starter {
  std::string_view template_name;
  std::string_view file;
  std::string_view text;
};
constexpr Starter kStarters[] = {{"python3-http", "handler.py", kPythonHandler},
                                 {"node-http", "handler.js", kNodeHandler}};

// Null when there is none; "node20-http" begins like "node-http".
const Starter* find_starter(std::string_view template_name) {
  const api::Template* const row = api::find_template(template_name);
  if (row == nullptr) return nullptr;
  const auto* const found = std::ranges::find(kStarters, row->name, &Starter::template_name);
  return found == std::end(kStarters) ? nullptr : found;
}

std::string starter_names() {
  std::vector<std::string_view> names;
  for (const Starter& starter : kStarters) names.push_back(starter.template_name);
  return fmt::format("{}", fmt::join(names, " or "));
}

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
  const Starter* const starter = find_starter(template_name);
  if (starter == nullptr) {
    return bad_usage(
        fmt::format("there is no template '{}' to begin with; use {}", template_name, starter_names()));
  }
  const fs::path folder(name);
  std::error_code error;
  if (!fs::create_directory(folder, error)) {
    return bad_usage(error ? fmt::format("cannot make the folder {}: {}", name, error.message())
                           : fmt::format("the folder {} is there already", name));
  }
  const std::string handler = fmt::format(fmt::runtime(starter->text), fmt::arg("name", name));
  const std::string manifest =
      fmt::format(kManifest, fmt::arg("name", name), fmt::arg("template", template_name));
  if (auto written = write_file(folder / starter->file, handler); !written)
    return std::unexpected(written.error());
  if (auto written = write_file(folder / "function.toml", manifest); !written)
    return std::unexpected(written.error());
  print(fmt::format("{0}/{1} and {0}/function.toml are written. Next: sterna deploy {0}\n", name,
                    starter->file));
  return kExitOk;
}

}  // namespace sterna::cli
