// The command line's app, and where its flags are stored while it lives; for the files of Program only.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/program.h"

namespace sterna::cli {

struct Program::Parts {
  CLI::App app{"Sterna: a self-hosted functions platform."};
  std::function<Result<int>()> chosen;

  Target target;
  DeployArgs deploy;
  DevArgs dev;
  InitArgs init;
  InvokeArgs invoke;
  InvocationsArgs invocations;
  TailArgs tail_invocations;
  ListenArgs listen;
  LogsArgs logs;
  BuildLogsArgs build_logs;
  SetSecretArgs set_secret;
  AppArgs app_args;
  bool of_server = false;
  std::string shell;
  std::filesystem::path reference;
  std::string name;
  std::string share;
  std::string id;
  std::vector<std::string> callback_allow;
  std::vector<std::string> limits;  // of a space
  std::int64_t version = 0;
  std::int64_t other_version = 0;
  std::int64_t timeout_seconds = 120;
  std::optional<std::int64_t> wait_seconds;
  double interval_seconds = 1;
  bool clear = false;
  bool force = false;
  bool rotate = false;
  bool show_head = false;

  // Adds a subcommand to `group`, which may be the app itself.
  CLI::App& add(CLI::App& group, const std::string& name, const std::string& help,
                std::function<Result<int>()> action);
  // Adds what says which code is meant and what is different from its function.toml.
  static void add_code_flags(CLI::App& command, std::filesystem::path& path, DeployOverrides& overrides);
  // Adds the number of a version.
  static void add_version(CLI::App& command, const std::string& name, std::int64_t& number,
                          const std::string& help);
  // Adds a subcommand that only has subcommands of its own.
  CLI::App& add_group(const std::string& name, const std::string& help);
};

inline constexpr std::int64_t kMostListed = 1'000'000;
inline constexpr std::int64_t kMostLines = 10'000;  // of a log; the server gives no more

// Checks of what is written behind flags; all say what to write instead.
CLI::Validator number_from_to(double lowest, double highest);
CLI::Validator whole_number_from_to(std::int64_t lowest, std::int64_t highest);
CLI::Validator port_number();  // 0 too
CLI::Validator version_number();

}  // namespace sterna::cli
