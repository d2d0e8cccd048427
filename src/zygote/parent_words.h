// What a worker that may pause and its sandbox's init say to each other over the orders socket (CONTROL.md).
// Whoever has run user code is not trusted with more than its own end.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sterna::zygote {

// The worker's first word, said before user code runs.
inline constexpr char kMayPause = 'p';
inline constexpr char kMayNotPause = 'n';

// Init to the paused worker: fork. With it travel worker socket, claim page, output, and what to join in
// the order of kMaxNamespaces. To the forked process, when it has joined them: go on.
inline constexpr char kFork = 'f';
inline constexpr char kGo = 'g';

// User namespace, mounts, pids, ipc, host name, control groups; and the network unless it is the host's.
// Behind them what restricts the replica's files, if the kernel can do that.
inline constexpr std::size_t kMaxNamespaces = 7;
inline constexpr std::size_t kMaxJoined = kMaxNamespaces + 1;
inline constexpr std::size_t kReplicaFds = 3;

// From the worker's side to init.
struct Said {
  enum class Kind : std::uint8_t {
    kHere,  // from the forked process: waiting, to be moved to the replica's namespaces
    kRuns,  // from the replica, in its namespaces
    kDone,  // from the paused worker: the forked process has ended
  };
  Kind kind{};
  std::int32_t joined[kMaxJoined] = {};  // kHere: the descriptors of the namespaces
  std::uint64_t scratch = 0;             // kHere: the address of kScratchBytes of its memory for init's use
};

inline constexpr std::size_t kScratchBytes = 16384;

}  // namespace sterna::zygote
