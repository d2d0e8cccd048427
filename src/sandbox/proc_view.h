// The part of /proc that a function sees, and what its user namespace may take of the kernel's tables.
#pragma once

#include <cstdint>

#include "sandbox/enter.h"

namespace sterna::sandbox {

// Where a whole /proc stays mounted out of the function's reach: the kernel lets the sandbox of a replica
// mount a /proc of its own only where one is in view that nothing covers. Exists only in roots whose
// sandboxes may have replicas.
inline constexpr const char* kHiddenProc = "run/sandbox/proc";

// Mounts /proc below the working directory, without the processes that one may not look at.
// Async-signal-safe, like all here.
StepError mount_proc();
// Binds the /proc just mounted to kHiddenProc.
StepError keep_whole_proc();
// Covers its files that tell about the machine rather than about the process, or that control it.
StepError cover_proc();

// Limits of the caller's user namespace that no rlimit has. Needs /proc.
StepError limit_user_namespace();

// No user namespace can be made within the caller's any more.
StepError close_user_namespaces();

}  // namespace sterna::sandbox
