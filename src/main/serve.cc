#include "main/serve.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "cli/text.h"
#include "server/server.h"

namespace sterna {
namespace {

// Of the command line, and the file's own.
constexpr std::array<std::string_view, 8> kOtherVariables = {
    "STERNA_CONFIG",    "STERNA_URL",     "STERNA_SPACE",         "STERNA_TOKEN",
    "STERNA_CLIENT_ID", "STERNA_CA_FILE", "STERNA_CLIENT_SECRET", "STERNA_SIGNING_SECRET"};

const char* environment_variable(const char* name) {
  return std::getenv(name);
}

}  // namespace

ServeCommand::ServeCommand(cli::Program& program) {
  CLI::App& command = program.add("serve", "Run the server", [this] { return run(); });
  for (const auto& option : server::options()) add_flag(command, option);
  command.add_option("--config", file_, "TOML file with these settings")->envname("STERNA_CONFIG");
  command.add_flag("--print-config", print_config_, "Print the settings as such a file and end");
}

void ServeCommand::add_flag(CLI::App& command, const server::Option& option) {
  const bool is_list = std::holds_alternative<server::Words>(option.kind);
  const bool is_switch = std::holds_alternative<server::Switch>(option.kind);
  const auto store = [this, &option, is_switch](const std::vector<std::string>& values) {
    const bool is_bare = is_switch && (values.empty() || values.front().empty());
    flags_.push_back({std::string(option.key), is_bare ? std::vector<std::string>{"true"} : values,
                      server::flag_of(option)});
    return true;
  };
  CLI::Option* flag = command.add_option(server::flag_of(option), store, std::string(option.help));
  flag->type_name(server::form_of(option));
  if (is_switch) flag->expected(0, 1);
  if (is_list) flag->expected(1, CLI::detail::expected_max_vector_size)->delimiter(',');
}

Result<server::Config> ServeCommand::config() const {
  server::Config config = server::default_config(server::Machine::here());
  if (!file_.empty()) {
    const auto settings = server::read_settings_file(file_);
    if (!settings) return std::unexpected(settings.error());
    if (auto applied = apply_settings(config, *settings); !applied) return std::unexpected(applied.error());
  }
  const auto variables = server::settings_from_environment(environment_variable);
  if (auto applied = apply_settings(config, variables); !applied) return std::unexpected(applied.error());
  if (auto applied = apply_settings(config, flags_); !applied) return std::unexpected(applied.error());
  return config;
}

Result<int> ServeCommand::run() const {
  const auto settings = config();
  if (!settings) return std::unexpected(settings.error());
  if (auto valid = validate(*settings); !valid) return std::unexpected(valid.error());
  if (print_config_) {
    cli::print(to_toml(*settings));
    return 0;
  }
  std::error_code gone;
  const auto absolute = server::with_absolute_paths(*settings, std::filesystem::current_path(gone));
  if (!absolute) return std::unexpected(absolute.error());
  if (auto served = server::serve(*absolute, server::unknown_variables(environ, kOtherVariables)); !served)
    return std::unexpected(served.error());
  return 0;
}

}  // namespace sterna
