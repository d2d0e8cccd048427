#include "api/templates.h"

#include <algorithm>

namespace sterna::api {
namespace {

constexpr std::string_view kPythonHandlers[] = {"handler.py"};
constexpr std::string_view kNodeHandlers[] = {"handler.js", "handler.mjs", "handler.cjs"};
constexpr std::string_view kCppHandlers[] = {"handler.cc", "handler.so"};
constexpr std::string_view kExecutables[] = {"bootstrap"};

constexpr std::int64_t kOne = 1;
constexpr std::int64_t kMany = 64;

constexpr Template kTemplates[] = {
    {.name = "python3-http",
     .alias = "python3",
     .runtime = "python",
     .handlers = kPythonHandlers,
     .build = BuildKind::kPython,
     .command = CommandUse::kNever,
     .body = BodyUse::kWhole,
     .concurrency = std::nullopt},
    {.name = "node-http",
     .alias = "node",
     .runtime = "node",
     .handlers = kNodeHandlers,
     .build = BuildKind::kNode,
     .command = CommandUse::kNever,
     .body = BodyUse::kWhole,
     .concurrency = std::nullopt},
    {.name = "cpp",
     .alias = "",
     .runtime = "native",
     .handlers = kCppHandlers,
     .build = BuildKind::kCpp,
     .command = CommandUse::kNever,
     .body = BodyUse::kWhole,
     .concurrency = kOne},
    {.name = "http",
     .alias = "",
     .runtime = "native",
     .handlers = kExecutables,
     .build = BuildKind::kPackages,
     .command = CommandUse::kOptional,
     .body = BodyUse::kReads,
     .concurrency = kMany},
    {.name = "command",
     .alias = "",
     .runtime = "native",
     .handlers = kExecutables,
     .build = BuildKind::kPackages,
     .command = CommandUse::kOptional,
     .body = BodyUse::kReads,
     .concurrency = kOne},
    {.name = "lambda",
     .alias = "",
     .runtime = "native",
     .handlers = kExecutables,
     .build = BuildKind::kPackages,
     .command = CommandUse::kOptional,
     .body = BodyUse::kWhole,
     .concurrency = kOne},
};

constexpr std::string_view kVersionedSuffix = "-http";

// "python3.11-http" for "python3-http", "node20-http" for "node-http".
bool is_version_of(std::string_view name, std::string_view plain) {
  if (!name.ends_with(kVersionedSuffix) || !plain.ends_with(kVersionedSuffix)) return false;
  name.remove_suffix(kVersionedSuffix.size());
  plain.remove_suffix(kVersionedSuffix.size());
  if (!name.starts_with(plain) || name.size() == plain.size()) return false;
  return name.find_first_not_of("0123456789.", plain.size()) == std::string_view::npos;
}

}  // namespace

std::span<const Template> templates() {
  return kTemplates;
}

const Template* find_template(std::string_view name) {
  const auto* const found = std::ranges::find_if(kTemplates, [&](const Template& row) {
    return name == row.name || (!row.alias.empty() && name == row.alias) || is_version_of(name, row.name);
  });
  return found == std::end(kTemplates) ? nullptr : found;
}

std::string_view canonical_template(std::string_view name) {
  const Template* const row = find_template(name);
  return row != nullptr && name == row->alias ? row->name : name;
}

}  // namespace sterna::api
