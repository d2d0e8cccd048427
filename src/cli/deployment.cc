#include "cli/deployment.h"

#include <algorithm>

#include "cli/pack.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{10};
constexpr milliseconds kLongestPause{500};

// The function as it is; null when there is none.
Result<Json> find(Api& api, const Place& place) {
  auto found = api.get(place.function);
  if (!found && found.error().reason == "function_not_found") return Json();
  return found;
}

// Creates or replaces it. Sets `before` to what was there.
Result<Json> send_settings(Api& api, const Place& place, Json& before, const Json& settings) {
  auto found = find(api, place);
  if (found && found->is_null()) {
    auto made = api.send("POST", place.functions, settings);
    if (made || made.error().reason != "function_exists") return made;
    found = find(api, place);  // another deploy has made it since
  }
  if (!found) return found;
  before = std::move(*found);
  return api.send("PUT", place.function + place.query, settings);
}

// After code that was refused: the settings that were sent before it must not stay alone. What fails here
// leaves them; the refusal is what the user has to see.
void take_back(Api& api, const Place& place, const Json& before) {
  if (before.is_null()) {
    static_cast<void>(api.send("DELETE", place.function));
  } else if (const Json version = before.value("active_version", Json()); !version.is_null()) {
    static_cast<void>(api.send("POST", place.function + "/rollback", Json{{"version", version}}));
  }
}

bool gets_calls(const Json& function, const Json& version) {
  if (function.value("active_version", Json()) == version) return true;
  const Json shares = function.value("traffic", Json::array());
  return std::ranges::any_of(shares,
                             [&](const Json& share) { return share.value("version", Json()) == version; });
}

// Settings and code in one request, so that they make one version.
Result<Sent> send_inline(Api& api, const Place& place, Deployable& code) {
  code.settings["source"] = Json{{"files", files_json(code.files)}};
  Json before;
  auto sent = send_settings(api, place, before, code.settings);
  if (!sent) return std::unexpected(sent.error());
  return Sent{.function = std::move(*sent)};
}

// Code too large for JSON follows its settings as an archive.
Result<Sent> send_archive(Api& api, const Place& place, const Deployable& code) {
  auto archive = pack_tar_gz(code.files);
  if (!archive) return std::unexpected(archive.error());
  Json before;
  auto saved = send_settings(api, place, before, code.settings);
  if (!saved) return std::unexpected(saved.error());
  auto sent = api.upload(place.function + "/code" + place.query, "application/gzip", std::move(*archive));
  if (!sent) {
    take_back(api, place, before);
    return std::unexpected(sent.error());
  }
  Sent both{.function = std::move(*sent)};
  if (before.is_object()) {
    both.halfway = {.version = saved->value("version", Json()),
                    .before = before.value("active_version", Json())};
  }
  return both;
}

}  // namespace

Json take_back_halfway(Api& api, const Place& place, const Sent::Halfway& halfway) {
  if (halfway.before.is_null()) return {};
  const auto function = api.get(place.function);
  if (!function || !gets_calls(*function, halfway.version)) return {};
  const Json all = Json::array({Json{{"version", halfway.before}, {"percent", 100}}});
  const auto done = api.send("PUT", place.function + "/traffic", Json{{"versions", all}});
  return done ? halfway.before : Json();
}

Result<Place> place_of(const Target& target, const Deployable& code) {
  auto space = space_path(target);
  if (!space) return std::unexpected(space.error());
  auto function = function_path(target, code.settings["name"].get<std::string>());
  if (!function) return std::unexpected(function.error());
  return Place{.functions = *space + "/functions", .function = *function};
}

Result<Sent> send_code(Api& api, const Place& place, Deployable code) {
  auto sent = total_bytes(code.files) <= kMaxInlineBytes ? send_inline(api, place, code)
                                                         : send_archive(api, place, code);
  if (!sent) sent.error().detail = with_places(sent.error().detail, code.places);
  return sent;
}

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

std::string failure_of(const Json& function) {
  std::string reason = cell(function, "status_reason");
  const std::string known = "version " + cell(function, "version") + " failed: ";
  if (reason.starts_with(known)) reason.erase(0, known.size());
  return reason;
}

Result<Json> watch_rollout(Api& api, const Place& place, Json function, const BetweenLooks& between) {
  milliseconds pause = kFirstPause;
  while (rollout_of(function) == Rollout::kUnderWay && between(function, pause)) {
    pause = std::min(pause * 2, kLongestPause);
    auto seen = api.get(place.function);
    if (!seen) return seen;
    function = std::move(*seen);
  }
  return function;
}

}  // namespace sterna::cli
