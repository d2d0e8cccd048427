#include "cli/command_tree.h"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace sterna::cli {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// CLI11 tells what an option takes as "TEXT:{queued,running}"; ours say "text|json".
std::vector<std::string> choices_of(std::string_view type) {
  const auto open = type.find('{');
  const auto close = type.rfind('}');
  if (open != std::string_view::npos && close != std::string_view::npos && open < close)
    return split(type.substr(open + 1, close - open - 1), ',');
  const bool are_words =
      type.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-|") == std::string_view::npos;
  if (are_words && type.contains('|')) return split(type, '|');
  return {};
}

// "INT:INT in [1 - 3600]" is "INT" to people.
std::string plain_type(const std::string& type) {
  return type.substr(0, type.find(':'));
}

Flag flag_of(const CLI::Option& option) {
  Flag flag{.names = {},
            .value = {},
            .choices = choices_of(option.get_type_name()),
            .default_text = option.get_default_str(),
            .variable = option.get_envname(),
            .help = option.get_description()};
  for (const std::string& name : option.get_snames()) flag.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  if (option.get_items_expected_max() > 0) flag.value = plain_type(option.get_type_name());
  flag.optional_value = !flag.value.empty() && option.get_items_expected_min() == 0;
  return flag;
}

Positional positional_of(const CLI::Option& option) {
  return {.name = option.get_name(true, false),
          .value = plain_type(option.get_type_name()),
          .help = option.get_description(),
          .required = option.get_required(),
          .repeated = option.get_items_expected_max() > 1};
}

}  // namespace

const CommandNode* CommandNode::find(std::string_view command) const {
  const auto found = std::ranges::find(commands, command, &CommandNode::name);
  return found == commands.end() ? nullptr : &*found;
}

const Flag* CommandNode::find_flag(std::string_view flag) const {
  const auto found = std::ranges::find_if(
      flags, [&](const Flag& each) { return std::ranges::find(each.names, flag) != each.names.end(); });
  return found == flags.end() ? nullptr : &*found;
}

CommandNode command_tree(const CLI::App& app) {
  CommandNode node{
      .name = app.get_name(), .help = app.get_description(), .flags = {}, .positionals = {}, .commands = {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option == app.get_help_ptr() || option->get_group().empty()) continue;
    if (option->get_positional()) {
      node.positionals.push_back(positional_of(*option));
    } else {
      node.flags.push_back(flag_of(*option));
    }
  }
  const auto is_shown = [](const CLI::App* command) { return !command->get_group().empty(); };
  for (const CLI::App* command : app.get_subcommands(is_shown))
    node.commands.push_back(command_tree(*command));
  return node;
}

}  // namespace sterna::cli
