// What of the sandbox this machine lets us enforce, tried and said at the server's start.
#pragma once

#include <string>
#include <vector>

#include "sandbox/cgroup.h"
#include "sandbox/plan.h"

namespace sterna::sandbox {

struct Probe {
  Isolation isolation = Isolation::kFull;
  bool namespaces = false;            // without them no function can run
  bool mounts = false;                // the mount calls of Linux 5.12; without them no function can run
  bool seccomp = false;               // with user notification (Linux 5.5)
  bool own_users = false;             // each function has a host user of its own (needs root)
  bool egress = false;                // pasta is installed, and packets can be filtered
  int landlock = 0;                   // its version
  CgroupLayout cgroups;               // which controllers limit; what is missing falls back to rlimits
  std::vector<std::string> warnings;  // sentences for the log: what is not enforced and what to do

  bool can_run() const { return namespaces && mounts && seccomp; }
};

// `cgroups` and `warnings` come from create_cgroups. Tries the namespaces in a child that ends at once. Any
// thread.
Probe probe(CgroupLayout cgroups, std::vector<std::string> warnings);

// What there is when the administrator has turned the sandbox off: nothing, and a warning.
Probe no_sandbox();

}  // namespace sterna::sandbox
