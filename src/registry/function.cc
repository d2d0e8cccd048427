#include "registry/function.h"

namespace sterna::registry {

std::string_view to_string(FunctionStatus status) {
  switch (status) {
    case FunctionStatus::kPending:
      return "Pending";
    case FunctionStatus::kBuilding:
      return "Building";
    case FunctionStatus::kRunning:
      return "Running";
    case FunctionStatus::kFailed:
      return "Failed";
    case FunctionStatus::kStopped:
      return "Stopped";
  }
  return "Failed";
}

std::string_view to_string(VersionState state) {
  switch (state) {
    case VersionState::kPending:
      return "pending";
    case VersionState::kBuilding:
      return "building";
    case VersionState::kActive:
      return "active";
    case VersionState::kCanary:
      return "canary";
    case VersionState::kFailed:
      return "failed";
    case VersionState::kRetired:
      return "retired";
  }
  return "failed";
}

StatusAndReason status_of(const StatusFacts& facts) {
  if (facts.stopped) return {FunctionStatus::kStopped, ""};
  if (facts.has_active) {
    if (!facts.crash_reason.empty()) return {FunctionStatus::kFailed, std::string(facts.crash_reason)};
    if (facts.newest_state != VersionState::kFailed) return {FunctionStatus::kRunning, ""};
    return {FunctionStatus::kRunning, "version " + std::to_string(facts.newest_number) +
                                          " failed: " + std::string(facts.newest_reason)};
  }
  switch (facts.newest_state) {
    case VersionState::kBuilding:
      return {FunctionStatus::kBuilding, ""};
    case VersionState::kFailed:
      return {FunctionStatus::kFailed, std::string(facts.newest_reason)};
    default:
      return {FunctionStatus::kPending,
              facts.newest_has_code ? "" : "no code yet: PUT it to the function's /code"};
  }
}

}  // namespace sterna::registry
