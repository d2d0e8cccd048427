#include "server/toolbox.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace sterna::server {
namespace {

namespace fs = std::filesystem;

// A link outside /usr may not be there in the sandbox, only what it leads to.
std::string inside(const std::string& interpreter) {
  std::error_code failed;
  const fs::path real = fs::canonical(interpreter, failed);
  return failed || interpreter.starts_with("/usr/") ? interpreter : real.string();
}

// /usr for a /usr/bin/node whose headers are in /usr/include/node; empty when they are not installed.
std::string headers_prefix_of(const fs::path& node) {
  std::error_code unknown;
  const fs::path prefix = fs::canonical(node, unknown).parent_path().parent_path();
  return fs::exists(prefix / "include/node/node_version.h", unknown) ? prefix.string() : std::string();
}

bundle::Files headers_in(const fs::path& folder) {
  bundle::Files headers;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->is_regular_file()) continue;
    std::ifstream in(entry->path(), std::ios::binary);
    headers.push_back({.path = entry->path().lexically_relative(folder),
                       .content = std::string(std::istreambuf_iterator<char>(in), {})});
  }
  std::ranges::sort(headers, {}, &bundle::File::path);
  return headers;
}

}  // namespace

build::Toolbox toolbox_of(const Config& config, const Runtimes& runtimes,
                          std::vector<std::string>& warnings) {
  build::Toolbox tools;
  for (const auto& [name, runtime] : runtimes.runtime_of) {
    const auto interpreter = runtimes.interpreters.find(runtime);
    if (interpreter == runtimes.interpreters.end()) continue;
    auto tool = build::tool_at(inside(interpreter->second));
    if (!tool) continue;
    if (!runtime.starts_with("node")) {
      tools.pythons.emplace(name, std::move(*tool));
      continue;
    }
    tool->headers_prefix = headers_prefix_of(tool->path);
    tools.nodes.emplace(name, std::move(*tool));
  }
  if (const fs::path& cxx = config.build.cxx; !cxx.empty()) {
    tools.compiler = build::tool_at(cxx);
    if (!tools.compiler) warnings.push_back("the C++ compiler " + cxx.string() + " cannot be run");
  }
  tools.headers = headers_in(config.runtime_dir / "native" / "include");
  tools.pip_index_url = config.build.pip_index_url;
  tools.npm_registry = config.build.npm_registry;
  tools.offline = config.build.offline;
  tools.has_wheels = runtimes.has_wheels;
  return tools;
}

}  // namespace sterna::server
