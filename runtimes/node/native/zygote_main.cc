// The zygote of a Node runtime: its spares become `node` with the shim loaded.
//   sterna-node-zygote --control-fd 3 --node /usr/bin/node --runtime node20
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <filesystem>
#include <string>

#include "zygote/zygote.h"

namespace {

namespace fs = std::filesystem;

constexpr const char* kShimInside = "/run/sterna-node";

bool is_below(const fs::path& path, const char* folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

// With a large young generation garbage alone would fill a small function's memory.
sterna::zygote::Program node_program(const fs::path& node) {
  return {
      .path = node.string(),
      .argv = {node.string(), "--max-semi-space-size=4", std::string(kShimInside) + "/shim/main.js", "adopt"},
      .env = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/tmp"}};
}

int run(int argc, char** argv) {
  CLI::App app{"Turns spares into sandboxed Node workers (src/zygote/CONTROL.md)"};
  int control_fd = -1;
  std::string node;
  sterna::zygote::ZygoteConfig config;
  app.add_option("--control-fd", control_fd)->required();
  app.add_option("--node", node, "the interpreter")->required();
  app.add_option("--runtime", config.runtime, "its name, for the log")->required();
  CLI11_PARSE(app, argc, argv);

  const fs::path program = fs::canonical(node);
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  config.binds.push_back({folder.string(), kShimInside});
  // An interpreter that was installed elsewhere comes with its prefix.
  if (!is_below(program, "/usr")) {
    const std::string prefix = program.parent_path().parent_path().string();
    config.binds.push_back({prefix, prefix});
  }
  config.program = node_program(program);
  return sterna::zygote::run_zygote(control_fd, config, {});
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // the interpreter is not there
    const std::string text = std::string("sterna-node-zygote: ") + error.what() + '\n';
    return ::write(STDERR_FILENO, text.data(), text.size()) < 0 ? 2 : 1;
  }
}
