// `sterna serve`: its flags, and the configuration they make.
#pragma once

#include <filesystem>
#include <vector>

#include "cli/program.h"
#include "server/config.h"
#include "server/options.h"

namespace sterna {

// Holds what the flags of `serve` say; must outlive the program.
class ServeCommand {
 public:
  explicit ServeCommand(cli::Program& program);

 private:
  void add_flag(CLI::App& command, const server::Option& option);
  Result<server::Config> config() const;
  Result<int> run() const;

  std::vector<server::Setting> flags_;
  std::filesystem::path file_;
  bool print_config_ = false;
};

}  // namespace sterna
