// The zygote: a warm single-threaded process that turns forks of itself into sandboxed workers (CONTROL.md).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/root.h"

namespace sterna::zygote {

// What a worker's process has: all are close-on-exec; standard output and error are the output pipe too.
struct WorkerFds {
  int socket = -1;  // frames, wire/PROTOCOL.md
  int claim = -1;   // the claim page
  int output = -1;  // the pipe
  int orders = -1;  // if the worker may pause: where `fork_replica` (parent.h) gets its orders from. Close it
                    // if not used
};

// What a spare becomes ahead of its order, in a runtime that cannot be forked. It finds itself in a sandbox
// without /function, as the function's user, and calls `adopt` (adopt.h) when it is ready. `path` is seen
// from within.
struct Program {
  std::string path;
  std::vector<std::string> argv;
  std::vector<std::string> env;
};

// Runs inside the sandbox, with the function at /function; what it answers is the process's exit code.
using ChildMain = std::function<int(const WorkerFds&)>;

struct ZygoteConfig {
  std::string runtime;               // for the ready message, e.g. "python 3.11.2"
  std::vector<sandbox::Bind> binds;  // what the runtime needs outside /usr, e.g. its prefix

  std::optional<Program> program;  // then no ChildMain is called

  // Around the fork, in the zygote; and in the child that becomes a worker, before it knows its function.
  // What the last one touches is paid ahead of the cold start. May be empty.
  std::function<void()> before_fork;
  std::function<void()> after_fork_parent;
  std::function<void()> after_fork_child;
};

// Serves the control socket until it closes, then kills all workers and answers 0; 1 when no sandbox can be
// made here. The first message must be `configure`. Takes `control_fd`. The process must have one thread
// only.
int run_zygote(int control_fd, const ZygoteConfig& config, const ChildMain& child_main);

}  // namespace sterna::zygote
