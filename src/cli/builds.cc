// sterna builds logs: what a build printed, now or as it comes.
#include <fmt/format.h>

#include <cstdio>

#include "base/printable.h"
#include "cli/commands.h"
#include "cli/log_reader.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

// The newest version, unless one is named.
Result<std::int64_t> version_of(Api& api, const std::string& function, const BuildLogsArgs& args) {
  if (args.version) return *args.version;
  auto found = api.get(function);
  if (!found) return std::unexpected(found.error());
  return found->value("version", std::int64_t{1});
}

}  // namespace

std::string build_log_path(const std::string& function, std::int64_t version, bool follow) {
  return fmt::format("{}/builds/{}/logs?follow={}", function, version, follow);
}

std::string build_line_text(std::string_view ndjson_line) {
  const auto record = api::parse_json(ndjson_line);
  if (!record || !record->is_object()) return printable(ndjson_line);
  const std::string text = printable(text_of(*record, "text"));
  return cell(*record, "stream") == "platform" ? "== " + text : text;
}

Result<int> show_build_logs(const Target& target, const BuildLogsArgs& args) {
  const auto function = function_path(target, args.name);
  if (!function) return std::unexpected(function.error());
  Api api(target);
  const auto version = version_of(api, *function, args);
  if (!version) return std::unexpected(version.error());
  const auto show = [&](std::string_view line) {
    print(target.json ? line : build_line_text(line));
    print("\n");
    return std::fflush(stdout) == 0;
  };
  const Status shown =
      read_log(api, build_log_path(*function, *version, args.follow), {.on_begin = {}, .on_line = show});
  if (!shown) return std::unexpected(shown.error());
  return kExitOk;
}

}  // namespace sterna::cli
