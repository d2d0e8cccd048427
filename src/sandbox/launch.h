// Starts a helper program from a process that has threads: clean environment, chosen descriptors, dies with
// its parent.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sterna::sandbox {

struct Launch {
  std::vector<std::string> argv;         // argv[0] is looked up in our PATH
  std::vector<std::string> env;          // "NAME=value", nothing else
  std::vector<std::pair<int, int>> fds;  // {ours, theirs}; at most 8; output and error stay ours unless named
  std::vector<int> join_fds;             // cgroup.procs files to join (cgroup.h)
  int death_signal = SIGKILL;            // from the kernel when the calling *thread* ends
};

// Standard input is empty; descriptors that are not named are closed; signals are as at a fresh start; the
// session is its own. The caller reaps the pid. Fails with io.
Result<pid_t> launch(const Launch& launch);

}  // namespace sterna::sandbox
