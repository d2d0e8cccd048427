// Where a function's own server listens: looked up in the kernel's tables, so that asking opens no socket.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sterna::native {

enum class Family : std::uint8_t { kV4, kV6 };

struct Listener {
  Family family = Family::kV4;
  std::uint16_t port = 0;
  std::uint32_t waiting = 0;  // connections that nobody has taken yet
  std::uint64_t inode = 0;    // which socket it is
  bool operator==(const Listener&) const = default;
};

// The listening sockets in the text of /proc/net/tcp or tcp6.
std::vector<Listener> parse_listeners(std::string_view table, Family family);

// All of this process's network. Empty when the tables cannot be read.
std::vector<Listener> tcp_listeners();

// Whether more than one process has the socket: a parent listens, and its children take connections. Of
// processes that may be looked at.
bool is_shared(std::uint64_t inode);

}  // namespace sterna::native
