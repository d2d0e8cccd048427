// A second wall behind the mounts: Landlock, where the kernel has it (Linux 5.13). It stays with a process
// whatever becomes of its namespaces.
#pragma once

#include <cstdint>

namespace sterna::sandbox {

// The kernel's version of Landlock; 0: there is none, or it is turned off. Async-signal-safe.
int landlock_version();

enum class FunctionFiles : std::uint8_t { kReadOnly, kWritable };

// A ruleset seen from the caller's root: files can be written, made and removed in /tmp and /dev/shm (and
// /function, if writable), written in /dev and /proc, nowhere else; device nodes nowhere. Version 6 also
// keeps signals and abstract sockets among the processes that are under it. Answers a descriptor, or -errno.
// Async-signal-safe.
int make_write_rules(int version, FunctionFiles function);

// Signals and abstract sockets only: for a parent, whose replicas have a /tmp of their own. -ENOMSG before
// version 6.
int make_scope_rules(int version);

// Puts the calling thread, and what it makes, under the rules; needs no_new_privs. Answers errno or 0.
// Async-signal-safe.
int restrict_by(int rules);

}  // namespace sterna::sandbox
