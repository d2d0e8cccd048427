// The child's way into its sandbox, in two parts: what needs no function (`prepare`, done ahead of time) and
// what does (`enter`; for a program that runs already, `furnish` from outside it). Everything here runs
// between fork and user code: no allocation, no locks, failures as a step and errno.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "sandbox/plan.h"
#include "sandbox/seccomp.h"

namespace sterna::sandbox {

struct StepError {
  const char* step = nullptr;  // null: all is well
  int error_number = 0;
  explicit operator bool() const { return step != nullptr; }
};

enum class NetworkSpace : std::uint8_t { kOwn, kHost };

// For a process that was just cloned into new user and pid namespaces (and is pid 1 there): makes the other
// namespaces, mounts proc, /tmp and /dev/shm over the root built at `root_dir` (root.h), pivots into it and
// drops the host's tree, brings loopback up, empties the capability bounding set, sets no_new_privs.
// `default_tmp_bytes` sizes /tmp until `enter`. Without isolation: the mounts only.
StepError prepare(const char* root_dir, NetworkSpace network, std::uint64_t default_tmp_bytes,
                  Isolation isolation);

// The same within such a sandbox, for a process that was cloned there into new user and pid namespaces: a
// replica sees its parent's root, but has its own proc, /tmp and /dev/shm and every other namespace (its
// network too, unless it is the host's).
StepError prepare_replica(NetworkSpace network, std::uint64_t tmp_bytes);

// What limits memory: the cgroup, or without one a limit of the process. A virtual machine that reserves far
// more address space than it uses cannot live with the first of them, only with one on its writable memory.
enum class MemoryLimit : std::uint8_t { kGroup, kAddressSpace, kData };

// What `enter` needs of a SandboxPlan, of fixed size to travel in one datagram.
struct EnterOrder {
  std::uint64_t tmp_bytes = 0;
  std::uint64_t memory_bytes = 0;
  std::uint32_t max_open_files = 0;
  std::uint32_t max_pids = 0;
  MemoryLimit memory_limit = MemoryLimit::kGroup;
  std::uint8_t limit_processes = 0;  // 1: no pids cgroup, use RLIMIT_NPROC
  std::uint8_t may_pause = 0;        // 1: its init stays able to make replicas of it
  std::uint8_t bundle_writable = 0;
  std::uint8_t filtered = 0;  // 1: a filter of the network comes along (packet_filter.h)
  std::uint8_t named = 0;     // 1: names are looked up at kOwnResolver (network_visit.h)
  Isolation isolation = Isolation::kFull;
  Network network = Network::kNone;
  char hostname[64] = {};
};
EnterOrder make_order(const SandboxPlan& plan, bool has_memory_group, bool has_pids_group);  // kFull

enum class BundleAccess : std::uint8_t { kReadOnly, kWritable };

// A detached clone of the tree at `bundle_dir`, to be handed to `enter`. For the zygote. Answers the
// descriptor or -errno.
int open_bundle(const char* bundle_dir, BundleAccess access);

// After the user and group maps are written: attaches the bundle at /function, sets hostname and rlimits,
// restricts what can be written, becomes the inner user without capabilities, installs the filter.
// `*listener` is the seccomp listener with network egress, else -1.
StepError enter(const EnterOrder& order, int bundle_fd, const SeccompProgram& filter, int* listener);

// Which files may be written, by Landlock beside the mounts (landlock.h).
enum class Files : std::uint8_t {
  kOwn,         // /tmp and /dev/shm
  kBuild,       // /function too
  kOfReplicas,  // decided for each replica when it is made
};

// The two halves of `enter`. `furnish` is what needs privileges and may be done by the sandbox's init for the
// running process `worker` (0: the caller): bundle, hostname, rlimits. `become_function` is for the worker
// alone: the inner user, no capabilities, the filter.
StepError furnish(const EnterOrder& order, int bundle_fd, pid_t worker);
StepError become_function(const SeccompProgram& filter, SocketRule rule, Files files, int* listener);

// In the place of `become_function` when there is no isolation.
StepError become_inner_user();

// For the init process of a sandbox: makes it unreadable for others, or that and drops every capability.
StepError hide_init();
StepError drop_init(Isolation isolation);

// Empties the calling process's capability bounding set.
StepError drop_bounding_set();

}  // namespace sterna::sandbox
