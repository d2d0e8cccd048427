// The program's commands and flags as data: what completion and the reference in docs/cli.md are made of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace sterna::cli {

struct Flag {
  std::vector<std::string> names{};  // as typed: "-q", "--quiet"
  std::string value{};               // what it takes, e.g. "SECONDS"; empty: nothing
  std::vector<std::string> choices{};
  std::string default_text{};
  std::string variable{};  // that stands for it, e.g. "STERNA_URL"
  std::string help{};
  bool optional_value = false;
};

struct Positional {
  std::string name{};
  std::string value{};  // what it is, e.g. "FUNCTION"
  std::string help{};
  bool required = false;
  bool repeated = false;
};

struct CommandNode {
  std::string name{};
  std::string help{};
  std::vector<Flag> flags{};  // without --help
  std::vector<Positional> positionals{};
  std::vector<CommandNode> commands{};

  const CommandNode* find(std::string_view command) const;
  // By any of its names.
  const Flag* find_flag(std::string_view flag) const;
};

// Without hidden commands.
CommandNode command_tree(const CLI::App& app);

}  // namespace sterna::cli
