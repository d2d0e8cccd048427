// For messages that a program writes in several small parts: unless it has switched Nagle's algorithm off,
// each part waits for the acknowledgement of the one before, which the kernel of the reading side holds back
// for 40 ms.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace sterna::native {

// Acknowledges what has been read now. For a message of which more must come; on a Unix socket without
// effect.
inline void acknowledge(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

}  // namespace sterna::native
