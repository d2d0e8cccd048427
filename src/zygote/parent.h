// For a worker that has loaded its function and paused: turns it into replicas, each in a sandbox of its own.
#pragma once

#include <functional>
#include <optional>

#include "base/error.h"
#include "zygote/zygote.h"

namespace sterna::zygote {

// The runtime's hooks around a fork; in the replica and in the worker that stays.
struct ForkHooks {
  std::function<void()> before;
  std::function<void()> after_parent;
  std::function<void()> after_replica;
};

// Carries out one order from `orders` (WorkerFds::orders), for which it waits. Answers the descriptors in the
// replica, where standard output and error are its own already; nullopt in the paused worker, when the
// replica runs or could not be made. Fails with unavailable when no order will come any more. One thread
// only, in the whole process.
Result<std::optional<WorkerFds>> fork_replica(int orders, const ForkHooks& hooks);

}  // namespace sterna::zygote
