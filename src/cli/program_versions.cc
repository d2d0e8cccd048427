// Flags of the commands for versions.
#include <fmt/format.h>

#include <limits>

#include "base/number.h"
#include "cli/program_parts.h"

namespace sterna::cli {

CLI::Validator version_number() {
  const auto problem_of = [](const std::string& text) -> std::string {
    const auto value = parse_number<std::int64_t>(text);
    if (value && *value > 0) return {};
    return "'" + text + "' is no version: write its number, such as 3; sterna versions list shows them";
  };
  return {problem_of, "", ""};
}

namespace {

template <class Number>
CLI::Validator in_range(Number lowest, Number highest, std::string_view kind) {
  const auto problem_of = [=](const std::string& text) -> std::string {
    const auto value = parse_number<Number>(text);
    if (value && *value >= lowest && *value <= highest) return {};
    return fmt::format("'{}' does not do: write a {} from {} to {}", text, kind, lowest, highest);
  };
  return {problem_of, "", ""};
}

}  // namespace

CLI::Validator number_from_to(double lowest, double highest) {
  return in_range(lowest, highest, "number");
}

CLI::Validator whole_number_from_to(std::int64_t lowest, std::int64_t highest) {
  return in_range(lowest, highest, "whole number");
}

CLI::Validator port_number() {
  return whole_number_from_to(0, std::numeric_limits<std::uint16_t>::max());
}

void Program::Parts::add_version(CLI::App& command, const std::string& option, std::int64_t& number,
                                 const std::string& help) {
  command.add_option(option, number, help)->type_name("VERSION")->required()->check(version_number());
}

void Program::add_versions() {
  CLI::App& group = parts_->add_group("versions", "List, show, and compare the versions of a function");
  const auto add_one = [&](const std::string& name, const std::string& help,
                           std::function<Result<int>()> action) -> CLI::App& {
    CLI::App& command = parts_->add(group, name, help, std::move(action));
    command.add_option("name", parts_->name, "The function")->type_name("FUNCTION")->required();
    return command;
  };
  add_one("list", "List the versions that are kept",
          [p = parts_.get()] { return list_versions(p->target, p->name); });
  CLI::App& show = add_one("show", "Show a version and its settings",
                           [p = parts_.get()] { return show_version(p->target, p->name, p->version); });
  Parts::add_version(show, "version", parts_->version, "Its number");
  CLI::App& diff = add_one("diff", "Show what changed from one version to another", [p = parts_.get()] {
    return diff_versions(p->target, p->name, p->version, p->other_version);
  });
  Parts::add_version(diff, "from", parts_->version, "Number of the one");
  Parts::add_version(diff, "to", parts_->other_version, "Number of the other");
}

}  // namespace sterna::cli
