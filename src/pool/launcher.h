// The seam between the pool and how processes are made: zygotes in the product, plain sockets in tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "pool/function_config.h"

namespace sterna::pool {

// How a worker's process ended.
struct WorkerExit {
  std::optional<int> code;
  std::optional<int> signal;
  bool out_of_memory = false;
  std::string error;  // why it could not even start; empty otherwise

  // e.g. "exited with code 3", "was killed by signal 11 (Segmentation fault)"
  std::string text() const;
};

// What a new worker inherits (wire/PROTOCOL.md).
struct WorkerDescriptors {
  UniqueFd socket;
  UniqueFd claim_page;
  UniqueFd output;  // write end of a pipe: its stdout and stderr
};

// Where a worker comes from, and what may become of it.
struct Origin {
  std::string parent;      // the paused worker that it is forked from; empty: none
  bool may_pause = false;  // it may become a parent itself
  bool on_trial = false;   // nobody has loaded this version: its start has to show that it works
};

class LaunchObserver {
 public:
  virtual ~LaunchObserver() = default;
  virtual void on_exited(const std::string& instance, const WorkerExit& exit) = 0;
};

class Launcher {
 public:
  virtual ~Launcher() = default;
  // Begins a worker process for `config`; it may be told to `observer` only later that this failed.
  // `observer` stays valid until on_exited came for the instance.
  virtual void start(const std::string& instance, const FunctionConfig& config, WorkerDescriptors descriptors,
                     const Origin& origin, LaunchObserver& observer) = 0;
  // SIGKILL. Unknown instances are ignored.
  virtual void kill(const std::string& instance) = 0;
};

}  // namespace sterna::pool
