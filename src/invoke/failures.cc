#include "invoke/failures.h"

#include "api/problem.h"

namespace sterna::invoke {
namespace {

constexpr FailureInfo kRaised{500,
                              "function_raised",
                              Component::kFunction,
                              Fault::kFunction,
                              "the function failed while it ran; how is in the function's log",
                              0};
constexpr FailureInfo kBadResponse{
    502,
    "bad_function_response",
    Component::kFunction,
    Fault::kFunction,
    "the function's answer cannot be used; what is wrong with it is in the function's log",
    0};
constexpr FailureInfo kWorkerDied{
    502, "worker_died", Component::kWorker, Fault::kFunction, "the function's process ended during the call",
    0};
constexpr FailureInfo kOutOfMemory{502,
                                   "out_of_memory",
                                   Component::kWorker,
                                   Fault::kFunction,
                                   "the function used more memory than limits.memory_mb allows",
                                   0};
constexpr FailureInfo kTimeout{504,
                               "function_timeout",
                               Component::kFunction,
                               Fault::kFunction,
                               "the function took longer than limits.timeout_seconds and was stopped",
                               0};
constexpr FailureInfo kNoCapacity{
    429,
    "no_capacity",
    Component::kPool,
    Fault::kPlatform,
    "all workers of the function are busy; try again later or raise limits.max_replicas",
    1,
    false};
constexpr FailureInfo kSpaceFull{
    429,
    "no_capacity",
    Component::kPool,
    Fault::kPlatform,
    "all workers of the function are busy, and the space's quota of replicas or memory is used up; try again "
    "later or have an app of the server raise the quota",
    1,
    false};
constexpr FailureInfo kNotRunning{503,
                                  "function_not_running",
                                  Component::kPool,
                                  Fault::kPlatform,
                                  "the function stopped running before the call could begin",
                                  1,
                                  false};
constexpr FailureInfo kStopped{503,
                               "function_not_running",
                               Component::kPool,
                               Fault::kPlatform,
                               "the function was deleted, or the server stopped, while the call ran",
                               1};
constexpr FailureInfo kCannotStart{
    503,
    "cannot_start_worker",
    Component::kPool,
    Fault::kPlatform,
    "the server cannot start a worker at the moment, which is not the function's fault; try again later",
    5,
    false};
constexpr FailureInfo kServerFull{
    429,
    "no_capacity",
    Component::kPool,
    Fault::kPlatform,
    "the function needs another worker, and the server runs as many as limits.max_replicas_total allows; try "
    "again later or have its administrator raise that",
    1,
    false};
constexpr FailureInfo kLoading{
    429,
    "no_capacity",
    Component::kPool,
    Fault::kPlatform,
    "the function's workers were still starting when the call had waited for limits.queue_wait_seconds; try "
    "again later, raise that, or keep a worker with limits.min_replicas",
    1,
    false};
constexpr FailureInfo kEndsAtStart{
    429,
    "no_capacity",
    Component::kPool,
    Fault::kPlatform,
    "the function's workers end while they start; why is in the function's log, and another is tried after a "
    "pause",
    1,
    false};
constexpr FailureInfo kCancelled{
    499, "cancelled", Component::kGateway, Fault::kPlatform, "the call was cancelled", 0};

}  // namespace

std::string_view to_string(Fault fault) {
  return fault == Fault::kPlatform ? "platform" : "function";
}

std::string problem_document(const FailureInfo& failure, std::string_view call_id) {
  return api::to_json(api::Problem{.status = static_cast<int>(failure.status),
                                   .component = failure.component,
                                   .reason = std::string(failure.reason),
                                   .detail = std::string(failure.detail),
                                   .call_id = std::string(call_id),
                                   .errors = {}});
}

const FailureInfo& info_of(pool::Failure failure) {
  switch (failure) {
    case pool::Failure::kRaised:
      return kRaised;
    case pool::Failure::kBadResponse:
      return kBadResponse;
    case pool::Failure::kWorkerDied:
      return kWorkerDied;
    case pool::Failure::kOutOfMemory:
      return kOutOfMemory;
    case pool::Failure::kTimeout:
      return kTimeout;
    case pool::Failure::kNoCapacity:
      return kNoCapacity;
    case pool::Failure::kNotRunning:
      return kNotRunning;
    case pool::Failure::kStopped:
      return kStopped;
    case pool::Failure::kCancelled:
      return kCancelled;
    case pool::Failure::kSpaceFull:
      return kSpaceFull;
    case pool::Failure::kCannotStart:
      return kCannotStart;
    case pool::Failure::kServerFull:
      return kServerFull;
    case pool::Failure::kLoading:
      return kLoading;
    case pool::Failure::kEndsAtStart:
      return kEndsAtStart;
  }
  return kWorkerDied;
}

}  // namespace sterna::invoke
