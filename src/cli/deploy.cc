// sterna deploy: creates or replaces a function from a file or folder and waits until it runs.
#include <fmt/format.h>

#include <thread>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPoll{20};
constexpr milliseconds kLongestPoll{500};

// Where the function's document goes: an existing one is replaced.
struct Place {
  std::string functions;  // ".../functions"
  std::string function;   // ".../functions/{name}"
  std::string query;      // "?traffic_percent=10" or empty: what is said with a new version
};

Result<bool> exists(Api& api, const Place& place) {
  auto found = api.get(place.function);
  if (found) return true;
  if (found.error().reason == "function_not_found") return false;
  return std::unexpected(found.error());
}

// Settings and code in one request, so that they make one version.
Result<Json> put_inline(Api& api, const Place& place, Deployable& code) {
  code.settings["source"] = Json{{"files", files_json(code.files)}};
  auto there = exists(api, place);
  if (!there) return std::unexpected(there.error());
  return *there ? api.send("PUT", place.function + place.query, code.settings)
                : api.send("POST", place.functions, code.settings);
}

// Code too large for JSON follows its settings as an archive.
Result<Json> put_archive(Api& api, const Place& place, const Deployable& code) {
  auto archive = pack_tar_gz(code.files);
  if (!archive) return std::unexpected(archive.error());
  auto there = exists(api, place);
  if (!there) return std::unexpected(there.error());
  auto saved = *there ? api.send("PUT", place.function + place.query, code.settings)
                      : api.send("POST", place.functions, code.settings);
  if (!saved) return saved;
  return api.upload(place.function + "/code" + place.query, "application/gzip", std::move(*archive));
}

// Polls until the version has come to an end, or the time is over; answers the function as last seen.
Result<Json> wait_for(Api& api, const Place& place, Json function, const DeployArgs& args) {
  const SystemClock clock;
  const MonotonicTime began = clock.now();
  Progress progress(args.quiet);
  milliseconds pause = kFirstPoll;
  while (rollout_of(function) == Rollout::kUnderWay && clock.now() - began < args.timeout) {
    const std::chrono::duration<double> waited = clock.now() - began;
    progress.show(fmt::format("{} version {}: {} {:.1f} s", cell(function, "name"), cell(function, "version"),
                              cell(function, "status"), waited.count()));
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, kLongestPoll);
    auto seen = api.get(place.function);
    if (!seen) return seen;
    function = std::move(*seen);
  }
  return function;
}

int report(const Target& target, const Place& place, const Json& function, const DeployArgs& args) {
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
      fmt::print(stderr, "sterna: {} failed: {}\n", what, cell(function, "status_reason"));
      return kExitRefused;
    case Rollout::kUnderWay:
      break;
  }
  if (args.no_wait) {
    if (!target.json && !args.quiet) print(fmt::format("{} is {}\n", what, cell(function, "status")));
    return kExitOk;
  }
  fmt::print(stderr, "sterna: {} is still {} after {} s: sterna get shows how it goes on\n", what,
             cell(function, "status"), args.timeout.count());
  return kExitRefused;
}

}  // namespace

Rollout rollout_of(const Json& function) {
  const std::string status = cell(function, "status");
  if (status == "Failed") return Rollout::kFailed;
  if (status == "Stopped") return Rollout::kStopped;
  if (status != "Running") return Rollout::kUnderWay;
  // While a new version is loaded, the one before it goes on running.
  const Json newest = function.value("version", Json());
  if (function.value("active_version", newest) == newest) return Rollout::kRunning;
  for (const Json& share : function.value("traffic", Json::array())) {
    if (share.value("version", Json()) == newest) return Rollout::kRunning;
  }
  return cell(function, "status_reason") == "-" ? Rollout::kUnderWay : Rollout::kFailed;
}

Result<int> deploy(const Target& target, const DeployArgs& args) {
  auto code = read_deployable(args.path, args.overrides);
  if (!code) return std::unexpected(code.error());
  auto space = space_path(target);
  if (!space) return std::unexpected(space.error());
  auto function = function_path(target, code->settings["name"].get<std::string>());
  if (!function) return std::unexpected(function.error());
  const Place place{
      .functions = *space + "/functions",
      .function = *function,
      .query = args.traffic_percent ? fmt::format("?traffic_percent={}", *args.traffic_percent) : ""};

  Api api(target);
  auto saved = total_bytes(code->files) <= kMaxInlineBytes ? put_inline(api, place, *code)
                                                           : put_archive(api, place, *code);
  if (!saved) return std::unexpected(saved.error());
  if (args.no_wait) return report(target, place, *saved, args);
  auto settled = wait_for(api, place, std::move(*saved), args);
  if (!settled) return std::unexpected(settled.error());
  return report(target, place, *settled, args);
}

}  // namespace sterna::cli
