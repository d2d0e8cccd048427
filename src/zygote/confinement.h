// What the kernel says from outside about a process that is moved into a replica's sandbox. The process has
// run user code: its own word is worth nothing, nor are its system calls' answers where it filters them
// itself.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <cstdint>
#include <span>

#include "base/unique_fd.h"
#include "sandbox/enter.h"
#include "zygote/parent_words.h"

namespace sterna::zygote {

struct ReplicaNamespace {
  const char* name;         // in /proc/PID/ns
  const char* of_children;  // the same for what a process that has joined it forks
  int type;
};

// In the order of kMaxNamespaces.
inline constexpr ReplicaNamespace kReplicaNamespaces[kMaxNamespaces] = {
    {.name = "user", .of_children = "user", .type = CLONE_NEWUSER},
    {.name = "mnt", .of_children = "mnt", .type = CLONE_NEWNS},
    {.name = "pid", .of_children = "pid_for_children", .type = CLONE_NEWPID},
    {.name = "ipc", .of_children = "ipc", .type = CLONE_NEWIPC},
    {.name = "uts", .of_children = "uts", .type = CLONE_NEWUTS},
    {.name = "cgroup", .of_children = "cgroup", .type = CLONE_NEWCGROUP},
    {.name = "net", .of_children = "net", .type = CLONE_NEWNET}};

// Which process of a replica: the fork that has joined its namespaces, whose own pid stays the parent's, or
// the worker that it has forked there.
enum class Moved : std::uint8_t { kFork, kWorker };

// How many system call filters a process is under; -1 when the kernel does not say.
int filters_of(pid_t process);

// Whether a stopped fork can be made to do what it is told: it has one thread, and no filter beyond the
// platform's `filters`, since a filter could answer calls in the kernel's place.
sandbox::StepError check_fork(pid_t fork, int filters);

// Whether the process is in exactly the namespaces `made`: the first ones of kReplicaNamespaces.
sandbox::StepError check_namespaces(pid_t process, Moved moved, std::span<const UniqueFd> made);

// Whether it is the function's user, without a capability and any way to one, under at least `filters`
// filters.
sandbox::StepError check_confined(pid_t process, int filters);

// Whether the caller, and nobody else, will be told how the process ends.
sandbox::StepError check_is_child(pid_t process);

}  // namespace sterna::zygote
