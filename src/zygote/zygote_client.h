// The server's end of a zygote: starts the process, sends requests, receives reports. Event loop thread only.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "zygote/control.h"

namespace sterna::zygote {

class ZygoteClient {
 public:
  // Takes the server's end of the control socket and makes it non-blocking.
  ZygoteClient(UniqueFd control, pid_t pid);
  ZygoteClient(ZygoteClient&&) = default;
  ZygoteClient& operator=(ZygoteClient&&) = default;

  // Readable when `receive` has something. Owned by the client.
  int fd() const { return control_.get(); }
  pid_t pid() const { return pid_; }

  // All fail with unavailable, reason `zygote_gone`, when the zygote is gone, and with exhausted, reason
  // `zygote_busy`, when it has too many unread requests. `configure` comes first.
  Status configure(const Configure& wanted);
  Status send_spares(Network network, std::uint32_t count);
  // The descriptors are borrowed: the zygote gets duplicates. `secrets`: what pack_secrets made, or -1 for
  // none.
  Status send_start(const std::string& worker, const sandbox::SandboxPlan& plan, int worker_socket,
                    int claim_page, int output, int secrets = -1);
  // The same for a worker that is forked from the paused worker `parent`, whose secrets it has.
  Status send_fork(const std::string& worker, const sandbox::SandboxPlan& plan, const std::string& parent,
                   int worker_socket, int claim_page, int output);
  Status send_kill(const std::string& worker);
  // Asks for a Pong: a zygote that hangs is told by the lack of it.
  Status send_ping();

  // The next report; nullopt when there is none now. Fails with unavailable, reason `zygote_gone`, when the
  // zygote is gone (all its workers are then dead too), or invalid, reason `bad_control_message`.
  Result<std::optional<Report>> receive();

 private:
  Status send(const Request& request, std::span<const int> fds = {});

  UniqueFd control_;
  pid_t pid_ = 0;
};

inline constexpr int kControlFd = 3;

// Starts `argv` as a zygote: descriptor 3 is its end of the control socket, standard input is empty, standard
// output and error are ours, the environment is `env` and nothing else, all other descriptors are closed. It
// dies with the calling *thread*, so call it from the main thread; the caller reaps `pid()`. Fails with io.
Result<ZygoteClient> spawn_zygote(const std::vector<std::string>& argv, const std::vector<std::string>& env);

}  // namespace sterna::zygote
