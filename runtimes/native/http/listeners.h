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
  bool operator==(const Listener&) const = default;
};

// The listening sockets in the text of /proc/net/tcp or tcp6.
std::vector<Listener> parse_listeners(std::string_view table, Family family);

// All of this process's network. Empty when the tables cannot be read.
std::vector<Listener> tcp_listeners();

}  // namespace sterna::native
