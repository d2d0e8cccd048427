// sterna deploy: creates or replaces a function from a file or folder and waits until it runs.
#include <fmt/format.h>

#include <thread>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/deployment.h"
#include "cli/log_reader.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;

// Shows the version's build as it goes on, until it ends; nothing when there is none.
Status follow_build(Api& api, const Place& place, const Json& function, const DeployArgs& args) {
  const std::string path = build_log_path(place.function, function.value("version", std::int64_t{1}), true);
  const auto show = [&](std::string_view line) {
    if (!args.quiet) fmt::print(stderr, "{}\n", build_line_text(line));
    return true;
  };
  const Status followed = read_log(api, path, {.on_begin = {}, .on_line = show});
  if (!followed && followed.error().code != Code::kNotFound) return followed;
  return {};
}

// Until the version has come to an end, or the time is over.
Result<Json> wait_for(Api& api, const Place& place, Json function, const DeployArgs& args) {
  const SystemClock clock;
  const MonotonicTime began = clock.now();
  Progress progress(args.quiet);
  return watch_rollout(
      api, place, std::move(function), [&](const Json& seen, std::chrono::milliseconds pause) {
        const std::chrono::duration<double> waited = clock.now() - began;
        progress.show(fmt::format("{} version {}: {} {:.1f} s", cell(seen, "name"), cell(seen, "version"),
                                  cell(seen, "status"), waited.count()));
        std::this_thread::sleep_for(pause);
        return clock.now() - began < args.timeout;
      });
}

Result<int> report_rollout(const Target& target, const Place& place, const Json& function,
                           const DeployArgs& args) {
  if (target.json) print_json(function);
  const std::string what = fmt::format("{} version {}", cell(function, "name"), cell(function, "version"));
  switch (rollout_of(function)) {
    case Rollout::kRunning:
      if (!target.json && !args.quiet) {
        print(fmt::format("{} is Running: {}{}/invoke\n", what, target.url, place.function));
      }
      return kExitOk;
    case Rollout::kStopped:
      if (!target.json && !args.quiet)
        print(fmt::format("{} is deployed, and Stopped: sterna start\n", what));
      return kExitOk;
    case Rollout::kFailed:
      return fail(Code::kFunctionFailed, Component::kFunction, "version_failed",
                  fmt::format("{} failed: {}", what, failure_of(function)));
    case Rollout::kUnderWay:
      break;
  }
  if (args.no_wait) {
    if (!target.json && !args.quiet) print(fmt::format("{} is {}\n", what, cell(function, "status")));
    return kExitOk;
  }
  return fail(Code::kTimeout, Component::kFunction, "still_not_running",
              fmt::format("{} is still {} after {} s: sterna get shows how it goes on", what,
                          cell(function, "status"), args.timeout.count()));
}

Error with_hint(Error error, const std::string& hint) {
  const bool is_about_code = error.code == Code::kInvalid || error.code == Code::kFunctionFailed;
  if (is_about_code && !hint.empty()) error.detail += "\n" + hint;
  return error;
}

}  // namespace

Result<int> deploy(const Target& target, const DeployArgs& asked) {
  DeployArgs args = asked;
  args.quiet |= target.json;  // programs read what is printed: nothing but the answer or the error
  auto code = read_deployable(args.path, args.overrides);
  if (!code) return std::unexpected(code.error());
  auto place = place_of(target, *code);
  if (!place) return std::unexpected(place.error());
  const std::string hint = code->hint;
  if (args.traffic_percent) place->query = fmt::format("?traffic_percent={}", *args.traffic_percent);

  Api api(target);
  auto saved = [&] {
    Progress progress(args.quiet);
    progress.show(fmt::format("{}: sending {}", cell(code->settings, "name"),
                              describe_size(code->files.size(), total_bytes(code->files))));
    return send_code(api, *place, std::move(*code));
  }();
  if (!saved) return std::unexpected(with_hint(saved.error(), hint));
  if (args.no_wait) return report_rollout(target, *place, *saved, args);
  if (rollout_of(*saved) == Rollout::kUnderWay) {
    if (const Status built = follow_build(api, *place, *saved, args); !built)
      return std::unexpected(built.error());
  }
  auto settled = wait_for(api, *place, std::move(*saved), args);
  if (!settled) return std::unexpected(settled.error());
  const auto reported = report_rollout(target, *place, *settled, args);
  return reported ? reported : std::unexpected(with_hint(reported.error(), hint));
}

}  // namespace sterna::cli
