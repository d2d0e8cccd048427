// A function's own HTTP server: starts it and finds out where it listens.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "native/http/upstream.h"
#include "native/program_process.h"

namespace sterna::native {

// How long a server may take until it listens; below the pool's own 30 s for a start, so that the reason is
// told.
inline constexpr Duration kListenTimeout = std::chrono::seconds(25);
// One on trial has to listen for that long, and be taken connections of: gunicorn and the like listen first,
// load the program in their children, and end when that fails.
inline constexpr Duration kTrialTime = std::chrono::seconds(1);

// Whose listeners the kernel's tables show: the worker's alone, or all of the machine.
enum class Ports : std::uint8_t { kOwn, kShared };

// Whether the program has to show that it goes on after it has begun to listen.
enum class Trial : std::uint8_t { kNo, kYes };

class ServerProcess {
 public:
  struct Observer {
    std::function<void(const Target&)> on_listening;
    std::function<void(const std::string& why)> on_failed;  // instead
    std::function<void(int wait_status)> on_ended;          // after on_listening
  };

  // `environment` names the port and the socket: PORT, STERNA_SOCKET.
  ServerProcess(Desk& desk, Program program, Environment environment, Ports ports, Trial trial,
                Observer observer);
  ~ServerProcess();

  // Exactly one of on_listening and on_failed follows, maybe at once.
  void start();
  // As ProgramProcess::stop.
  void stop() { process_.stop(); }

 private:
  void look();
  std::optional<Target> find_target() const;
  bool stands_trial(const Target& target);
  // Knocks where several processes share the listener, and tells whether one of them has opened.
  bool is_answered(const Target& target);
  std::string why_not_listening() const;
  void on_exit(int wait_status);
  void fail(const std::string& why);

  Desk& desk_;
  const Ports ports_;
  const Trial trial_;
  const Observer observer_;
  const std::uint16_t port_;
  const std::string socket_path_;
  ProgramProcess process_;
  net::Loop::TimerId timer_;
  MonotonicTime listen_by_;
  std::optional<MonotonicTime> listens_since_;  // of one on trial
  bool has_listened_ = false;
  UniqueFd knock_;
  Duration pause_ = std::chrono::milliseconds(1);
  bool listening_ = false;
  bool failed_ = false;
};

}  // namespace sterna::native
