// What `deploy` and `dev` do with a function's code: send it, then watch the version that it makes until it
// runs.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "cli/api_client.h"
#include "cli/manifest.h"

namespace sterna::cli {

// Where the function's document goes: an existing one is replaced.
struct Place {
  std::string functions;  // ".../functions"
  std::string function;   // ".../functions/{name}"
  std::string query{};    // "?traffic_percent=10" or empty: what is said with a new version
};

// Fails with bad_usage when the space or the code's name cannot be one.
Result<Place> place_of(const Target& target, const Deployable& code);

struct Sent {
  api::Json function;  // the server's answer
  // What large code makes of it on the way: a version with the new settings and the code that was there.
  struct Halfway {
    api::Json version;  // its number
    api::Json before;   // the number of the version that was active; null: none
  };
  std::optional<Halfway> halfway{};
};

// Creates the function or replaces it. Fails with what the server refused.
Result<Sent> send_code(Api& api, const Place& place, Deployable code);

// After the code has failed: its settings must not stay in service with the code that was there. Answers the
// version that gets the calls again; null when nothing was to be done, or could be.
api::Json take_back_halfway(Api& api, const Place& place, const Sent::Halfway& halfway);

// How far the version that `function` (an answer of the API) speaks of has come.
enum class Rollout : std::uint8_t { kUnderWay, kRunning, kStopped, kFailed };
Rollout rollout_of(const api::Json& function);

// Why the newest version failed, without the "version 2 failed: " that status_reason begins with while an
// older one runs.
std::string failure_of(const api::Json& function);

// Between two looks: shows what was seen, and waits for the pause; false ends the waiting.
using BetweenLooks = std::function<bool(const api::Json& function, std::chrono::milliseconds pause)>;

// Looks until the version runs, or has failed; answers the function as last seen.
Result<api::Json> watch_rollout(Api& api, const Place& place, api::Json function,
                                const BetweenLooks& between);

}  // namespace sterna::cli
