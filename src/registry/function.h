// What the registry knows about a function, as values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/function_spec.h"
#include "api/space.h"
#include "base/clock.h"

namespace sterna::registry {

enum class FunctionStatus : std::uint8_t { kPending, kBuilding, kRunning, kFailed, kStopped };
std::string_view to_string(FunctionStatus status);  // "Pending", as in answers

// Of one version. kPending waits for the loader; kCanary gets a part of the calls, beside the active one;
// kRetired was active, another one is.
enum class VersionState : std::uint8_t { kPending, kBuilding, kActive, kCanary, kFailed, kRetired };
std::string_view to_string(VersionState state);  // "pending"

// The layer of a version whose code needs no build.
inline constexpr std::string_view kNoLayer = "none";

inline constexpr int kAllTraffic = 100;

// Immutable but for its state and its share of the calls: spec and bundle never change.
struct Version {
  std::int64_t number = 0;
  api::FunctionSpec spec;
  std::string bundle;  // hash; empty while the function has been created but its code not been sent yet
  // What a build made beside the bundle, by its name in the store of layers; kNoLayer, or empty as long as
  // nobody has looked whether there is something to build.
  std::string layer;
  VersionState state = VersionState::kPending;
  std::string reason;  // of kFailed
  std::optional<bool> handler_async;
  std::string runtime;  // e.g. "python 3.11.2", known once it was active
  WallTime created_at;
  int traffic_percent = kAllTraffic;  // of the calls it is to get once it has been loaded: 1 to 100
};

// Plain values of secrets by name. They go to workers only: never into answers, logs, or errors.
using SecretValues = std::map<std::string, std::string>;

struct Function {
  std::string id;
  std::string space;
  std::string space_id;  // another one when the space has been deleted and made anew
  std::string name;
  FunctionStatus status = FunctionStatus::kPending;
  std::string status_reason;      // why it is Failed or Pending, or that a newer version failed; else empty
  Version newest;                 // what the user asked for last
  std::optional<Version> active;  // what runs: the newest that was loaded; nullopt before the first
  std::optional<Version> canary;  // gets `traffic_percent` of the calls, the active one the others
  WallTime created_at;
  WallTime updated_at;
  SecretValues secret_values;  // of what `newest`, `active` and `canary` list; filled by
                               // Registry::add_secret_values only

  // Whether the loader has to build and load `newest` now.
  bool wants_loading() const {
    return status != FunctionStatus::kStopped && !newest.bundle.empty() &&
           (newest.state == VersionState::kPending || newest.state == VersionState::kBuilding);
  }
};

// What the callbacks of a space are signed with. After a rotation receivers may still know the previous one
// only: until `previous_until` callbacks carry a signature of each.
struct SigningSecrets {
  std::string current;   // "whsec_..."
  std::string previous;  // empty: there was none
  WallTime previous_until;

  bool previous_holds(WallTime now) const { return !previous.empty() && now < previous_until; }
};

struct Space {
  api::SpaceSpec spec;
  WallTime created_at;
  SigningSecrets signing;
};

// What may be known of a secret. Its value is write-only.
struct Secret {
  std::string name;
  WallTime created_at;
  WallTime updated_at;
  std::vector<std::string> used_by;  // names of functions whose newest or active version lists it, in order
};

// The facts that status and status_reason follow from.
struct StatusFacts {
  bool stopped = false;
  bool has_active = false;
  std::string_view crash_reason;  // of the active version, set by the pool; empty: it runs
  std::int64_t newest_number = 0;
  VersionState newest_state = VersionState::kPending;
  std::string_view newest_reason;
  bool newest_has_code = true;
};
struct StatusAndReason {
  FunctionStatus status;
  std::string reason;
};
StatusAndReason status_of(const StatusFacts& facts);

}  // namespace sterna::registry
