// What `deploy` and `dev` do with a function's code: send it, then watch the version that it makes until it
// runs.
#pragma once

#include <chrono>
#include <functional>
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

// Creates the function or replaces it; answers the function. Fails with what the server refused.
Result<api::Json> send_code(Api& api, const Place& place, Deployable code);

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
