// Gives one worker with network `egress` its network, on its first socket: the filter holds the call, pasta
// is started, the call goes on. A pasta process costs 30 MB and 140 ms; most functions never open a socket.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace sterna::sandbox {

// Whether pasta is installed and may make its device: without it functions with network egress have none.
bool egress_available();

// For one worker; owned by its holder in the server, event loop thread only. Destroy it when the worker ends:
// it kills pasta.
class EgressStarter {
 public:
  enum class State : std::uint8_t {
    kIdle,      // no socket was asked for yet
    kStarting,  // pasta is coming up; watch `ready_fd` and `deadline`
    kUp,        // sockets work
    kFailed,    // sockets fail with ENETUNREACH; `error` says why
  };

  // `listener` comes with the zygote's `started`, `worker` is its pid there. `join_fds`: cgroup.procs files
  // for pasta, valid while this lives, so that a sweep finds it after the server was killed.
  EgressStarter(UniqueFd listener, pid_t worker, const Clock& clock, std::vector<int> join_fds);
  ~EgressStarter();
  EgressStarter(const EgressStarter&) = delete;
  EgressStarter& operator=(const EgressStarter&) = delete;

  State state() const { return state_; }
  const std::string& error() const { return error_; }

  // How many calls `on_listener` looks at: a function can make any number of them.
  static constexpr std::size_t kCallsAtOnce = 8;

  // Readable when a socket is asked for; hung up when the worker is gone. Call `on_listener` then; it answers
  // how many calls it has looked at, and when these are kCallsAtOnce there may be more. Never blocks.
  int listener_fd() const { return listener_.get(); }
  std::size_t on_listener();

  // While starting: readable when pasta was started, is ready or is gone. Call `on_ready` then. Else -1.
  int ready_fd() const { return ready_.get(); }
  void on_ready();

  // While starting: the moment to call `on_deadline`.
  std::optional<MonotonicTime> deadline() const { return deadline_; }
  void on_deadline();

 private:
  void begin();
  bool take_call(std::vector<std::uint64_t>& buffer);
  void hold_pasta(pid_t pid);
  void finish(State state, std::string error);
  void answer(std::uint64_t call);

  UniqueFd listener_;
  const pid_t worker_;
  const Clock& clock_;
  const std::vector<int> join_fds_;
  State state_ = State::kIdle;
  std::string error_;
  std::vector<std::uint64_t> held_;  // calls that wait; at most the worker's threads
  UniqueFd ready_;
  std::string told_;  // through ready_
  pid_t holder_ = 0;  // the shell that holds pasta
  UniqueFd pasta_;    // a pidfd: its holder may end before it
  std::optional<MonotonicTime> deadline_;
};

}  // namespace sterna::sandbox
