// For Unix sockets whose peer must not send descriptors.
#pragma once

#include <sys/socket.h>

namespace sterna {

// Whoever sends descriptors to this end of a Unix socket gets EPERM from now on. False: this kernel cannot
// refuse them (before Linux 6.16). Async-signal-safe.
inline bool refuse_descriptors(int socket) {
  constexpr int kPassRights = 83;  // SO_PASSRIGHTS, for older headers; older kernels do not know the number
  const int off = 0;
  return ::setsockopt(socket, SOL_SOCKET, kPassRights, &off, sizeof off) == 0;
}

}  // namespace sterna
