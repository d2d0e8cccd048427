// sterna versions show, diff.
#include <fmt/format.h>

#include "base/printable.h"
#include "cli/commands.h"
#include "cli/report.h"

namespace sterna::cli {
namespace {

using api::Json;

std::string setting_line(const Json& change) {
  return fmt::format("{}: {} -> {}\n", cell(change, "field"), api::dump(change.value("from", Json())),
                     api::dump(change.value("to", Json())));
}

// The patch, or for what cannot be shown a line that names the file.
std::string file_text(const Json& change) {
  std::string diff = change.value("diff", "");
  if (!diff.empty()) return diff;
  return fmt::format("{} {} ({} -> {} bytes)\n", cell(change, "path"), cell(change, "change"),
                     cell(change, "from_bytes"), cell(change, "to_bytes"));
}

std::string diff_text(const Json& diff) {
  std::string text;
  for (const Json& change : diff.value("settings", Json::array())) text += setting_line(change);
  for (const Json& change : diff.value("files", Json::array())) text += file_text(change);
  if (diff.value("truncated", false)) text += "(some files are too large to show)\n";
  return text.empty() ? "no difference\n" : printable(text);
}

}  // namespace

Result<int> show_version(const Target& target, std::string_view name, std::int64_t version) {
  const auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report(target, api.get(fmt::format("{}/versions/{}", *path, version)));
}

Result<int> diff_versions(const Target& target, std::string_view name, std::int64_t from, std::int64_t to) {
  const auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report(target, api.get(fmt::format("{}/versions/{}/diff/{}", *path, from, to)), diff_text);
}

}  // namespace sterna::cli
