#include "cli/rollout.h"

#include <fmt/format.h>

#include <thread>

#include "base/clock.h"
#include "base/printable.h"
#include "cli/log_reader.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;

// Shows the version's build as it goes on, until it ends; nothing when there is none.
void follow_build(Api& api, const Place& place, const Json& function, const RolloutArgs& args) {
  const std::string path = build_log_path(place.function, function.value("version", std::int64_t{1}), true);
  const auto show = [&](std::string_view line) {
    if (!args.quiet) print_to_stderr(fmt::format("{}\n", build_line_text(line)));
    return true;
  };
  const Status followed = read_log(api, path, {.on_begin = {}, .on_line = show});
  if (followed || followed.error().code == Code::kNotFound) return;
  if (!args.quiet)
    print_to_stderr(fmt::format("the build's log ends here ({}); the build goes on\n",
                                printable(followed.error().detail)));
}

// Until the version has come to an end, or the time is over.
Result<Json> wait_for(Api& api, const Place& place, Json function, const RolloutArgs& args) {
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
                           const RolloutArgs& args) {
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
        print(fmt::format("{} is {}, and Stopped: sterna start\n", what, args.done));
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

}  // namespace

Result<int> see_through(Api& api, const Target& target, const Place& place, Json function,
                        const RolloutArgs& args) {
  if (args.no_wait) return report_rollout(target, place, function, args);
  if (rollout_of(function) == Rollout::kUnderWay) follow_build(api, place, function, args);
  const auto settled = wait_for(api, place, std::move(function), args);
  if (!settled) return std::unexpected(settled.error());
  return report_rollout(target, place, *settled, args);
}

}  // namespace sterna::cli
