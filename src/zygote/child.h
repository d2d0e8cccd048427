// One sandbox's processes: a tiny init as pid 1 and the worker as its child, cloned from the zygote.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sandbox/enter.h"
#include "zygote/zygote.h"

namespace sterna::zygote {

// What the sandbox's processes tell the zygote, one datagram each.
struct ChildNote {
  enum class Kind : std::uint8_t {
    kPrepared,  // from the worker, waiting for its order
    kEntered,   // from the worker, in its sandbox; the seccomp listener comes along with network egress. Of
                // a replica: from its parent's init in the replica's name, with what kills it (a pidfd) ahead
    kFailed,    // from either: `step` failed with errno `value`
    kExited,    // from init: the worker ended with wait status `value`
  };
  Kind kind{};
  int value = 0;
  char step[56] = {};
  std::uint32_t replica = 0;  // its number, when it is about one
};

// The order that makes a prepared child a worker, an EnterOrder. With it travel: bundle mount, worker socket,
// claim page, output; what pack_filter made, if the network is filtered; and, for a function with secrets,
// what pack_secrets made.
inline constexpr std::size_t kOrderFds = 4;
inline constexpr std::size_t kMaxOrderFds = kOrderFds + 2;

// The order to a paused worker's init to make a replica. With it travel worker socket, claim page, output,
// the filter of the network with network egress, and what its processes join their control groups by.
struct ForkOrder {
  std::uint32_t replica = 0;
  Network network = Network::kNone;
  std::uint64_t tmp_bytes = 0;

  bool filtered() const { return network == Network::kEgress; }
};

// What a child needs of the zygote; all of it lives in memory that the child inherits.
struct ChildSetup {
  const ZygoteConfig& config;
  const ChildMain& child_main;
  const std::string& root_dir;
  const sandbox::SeccompProgram& plain_filter;
  const sandbox::SeccompProgram& notify_filter;
  sandbox::Isolation isolation = sandbox::Isolation::kFull;
  // False without isolation, as root: nobody has a user map to write.
  bool own_users = true;
  // The program's, with a null at the end; empty without one.
  std::vector<char*> program_argv;
  std::vector<char*> program_env;
  sigset_t signal_mask{};  // the mask user code begins with
};

// Clones init into new user (if `own_users`) and pid namespaces. It goes on by itself: joins the groups,
// prepares the sandbox, forks the worker, which sends kPrepared over `socket`, waits for its order, and runs.
// With a program it first waits for a datagram that tells that the user map is written. Answers init's pid,
// or -errno.
pid_t clone_child(const ChildSetup& setup, int socket, std::span<const int> cgroup_fds,
                  sandbox::NetworkSpace network);

}  // namespace sterna::zygote
