// The command line of the program: flags and subcommands, turned into calls of commands.h.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/error.h"

namespace CLI {
class App;
}

namespace sterna::cli {

class Program {
 public:
  Program();
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Adds a subcommand; `action` answers the exit status when the user has chosen it. The caller adds its
  // flags, and what they are stored in must outlive run().
  CLI::App& add(const std::string& name, const std::string& help, std::function<Result<int>()> action);

  // Reads the arguments, runs the chosen command, prints its error. Answers the exit status (docs/cli.md).
  int run(int argc, const char* const* argv);

 private:
  struct Parts;
  int run_command(int argc, const char* const* argv);
  void add_functions();
  void add_spaces();
  void add_deploy();
  void add_invoke();
  void add_async_flags(CLI::App& command);
  void add_invocations();
  void add_invocation_lists(CLI::App& group);
  void add_listen();
  void add_dev();
  void add_init();
  void add_logs();
  void add_secrets();
  void add_apps();
  void add_shell();
  void add_versions();
  void add_builds();
  void add_debug();

  int complete_line(int argc, const char* const* argv);

  std::unique_ptr<Parts> parts_;
};

}  // namespace sterna::cli
