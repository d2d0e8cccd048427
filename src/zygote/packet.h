// One datagram with file descriptors over a SOCK_SEQPACKET Unix socket.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace sterna::zygote {

inline constexpr std::size_t kMaxPacketBytes = std::size_t{64} * 1024;
inline constexpr std::size_t kMaxPacketFds = 12;

// Sends without blocking beyond what the socket's mode says, never raises SIGPIPE. Answers errno, 0 when
// well. No allocation: children use it. `sender`, if given, is another process of the caller's pid namespace
// that the peer shall see as the sender, which takes CAP_SYS_ADMIN there.
int send_packet(int socket, std::string_view bytes, std::span<const int> fds = {},
                const ucred* sender = nullptr);

enum class Received : unsigned char { kPacket, kNothing, kClosed };

struct Packet {
  std::string bytes;
  std::vector<UniqueFd> fds;
};
// kNothing: the socket is non-blocking and empty. A datagram that was cut (too long, too many descriptors)
// counts as kClosed: the peer breaks the protocol.
Received receive_packet(int socket, Packet& packet);

// The same without allocation, for children: receives into `buffer`, descriptors into `fds`. Answers the
// bytes, 0 when closed, -1 with errno on failure. `sender`: the peer's pid as seen here, when the socket has
// SO_PASSCRED, else 0.
struct RawPacket {
  int fds[kMaxPacketFds] = {};
  std::size_t fd_count = 0;
  int sender = 0;
};
std::ptrdiff_t receive_raw(int socket, void* buffer, std::size_t capacity, RawPacket& raw);

}  // namespace sterna::zygote
