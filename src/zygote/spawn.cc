// Starting the zygote's process from a server that has threads.
#include <sys/socket.h>

#include <cerrno>

#include "sandbox/launch.h"
#include "zygote/zygote_client.h"

namespace sterna::zygote {

Result<ZygoteClient> spawn_zygote(const std::vector<std::string>& argv, const std::vector<std::string>& env) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return fail_errno(Component::kPool, "socketpair", errno);
  }
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  const auto pid =
      sandbox::launch({.argv = argv, .env = env, .fds = {{theirs.get(), kControlFd}}, .join_fds = {}});
  if (!pid) return std::unexpected(pid.error());
  return ZygoteClient(std::move(ours), *pid);
}

}  // namespace sterna::zygote
