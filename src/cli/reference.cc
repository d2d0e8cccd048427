#include "cli/reference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "cli/api_client.h"

namespace sterna::cli {
namespace {

constexpr std::string_view kBegin = "<!-- usage";
constexpr std::string_view kEnd = "<!-- end -->";
constexpr std::string_view kWithoutFlags = " without flags";

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c == '_' ? '-' : c;
  return text;
}

// `|` would end the cell.
std::string cell_text(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.replace(at, 1, "\\|");
  return text;
}

std::string synopsis(const std::string& path, const CommandNode& node) {
  std::string line = "sterna";
  if (!path.empty()) line += " " + path;
  for (const Positional& each : node.positionals) {
    const std::string name = upper(each.name) + (each.repeated ? "..." : "");
    line += each.required ? " " + name : " [" + name + "]";
  }
  return line;
}

std::string flag_row(const Flag& flag) {
  std::vector<std::string> names;
  names.reserve(flag.names.size());
  for (const std::string& name : flag.names) names.push_back("`" + name + "`");
  const std::string value = flag.optional_value ? "[" + flag.value + "]" : flag.value;
  if (!value.empty()) names.back().insert(names.back().size() - 1, " " + value);
  std::string help = flag.help;
  if (!flag.choices.empty()) help += fmt::format(": `{}`", fmt::join(flag.choices, "`, `"));
  if (!flag.default_text.empty()) help += fmt::format("; default `{}`", flag.default_text);
  if (!flag.variable.empty()) help += fmt::format("; also `{}`", flag.variable);
  return fmt::format("| {} | {} |\n", fmt::join(names, ", "), cell_text(help));
}

enum class Flags : std::uint8_t { kShown, kElsewhere };

std::string section(const std::string& path, const CommandNode& node, Flags flags) {
  std::string text;
  if (!path.empty()) text = fmt::format("### `{}`\n{}.\n", synopsis(path, node), node.help);
  if (flags == Flags::kElsewhere || node.flags.empty()) return text;
  text += path.empty() ? "| flag | |\n|---|---|\n" : "\n| flag | |\n|---|---|\n";
  for (const Flag& flag : node.flags) text += flag_row(flag);
  return text;
}

// "versions list" -> its node; null when there is none.
const CommandNode* find_command(const CommandNode& root, const std::string& path) {
  const CommandNode* node = &root;
  std::istringstream words(path);
  for (std::string word; node != nullptr && words >> word;) node = node->find(word);
  return node;
}

// Those that do something: groups only hold others.
void collect_paths(const CommandNode& node, const std::string& prefix, std::set<std::string>& paths) {
  for (const CommandNode& command : node.commands) {
    const std::string path = prefix.empty() ? command.name : prefix + " " + command.name;
    if (command.commands.empty()) paths.insert(path);
    collect_paths(command, path, paths);
  }
}

// The path in "<!-- usage: versions list -->".
std::string path_of(std::string_view marker) {
  marker.remove_prefix(kBegin.size());
  marker = marker.substr(0, marker.find(" -->"));
  if (marker.starts_with(": ")) marker.remove_prefix(2);
  return std::string(marker);
}

}  // namespace

Result<std::string> with_reference(const std::string& text, const CommandNode& root) {
  std::set<std::string> missing;
  collect_paths(root, {}, missing);
  std::string out;
  std::istringstream lines(text);
  bool in_block = false;
  for (std::string line; std::getline(lines, line);) {
    if (in_block && line != kEnd) continue;
    in_block = line.starts_with(kBegin);
    out += line + '\n';
    if (!in_block) continue;
    std::string path = path_of(line);
    const Flags flags = path.ends_with(kWithoutFlags) ? Flags::kElsewhere : Flags::kShown;
    if (flags == Flags::kElsewhere) path.resize(path.size() - kWithoutFlags.size());
    const CommandNode* const node = find_command(root, path);
    if (node == nullptr) return bad_usage(fmt::format("there is no command '{}' any more", path));
    missing.erase(path);
    out += section(path, *node, flags);
  }
  if (in_block) return bad_usage(fmt::format("the last usage block has no '{}'", kEnd));
  if (!missing.empty()) {
    return bad_usage(fmt::format("add '<!-- usage: {} -->' and '{}' for: {}", *missing.begin(), kEnd,
                                 fmt::join(missing, ", ")));
  }
  return out;
}

}  // namespace sterna::cli
