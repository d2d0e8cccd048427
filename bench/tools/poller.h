// The event loop of the load generator: epoll and nothing else, so that the generator is never what is
// measured.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace sterna::bench {

using Time = std::chrono::steady_clock::time_point;

inline Time now() {
  return std::chrono::steady_clock::now();
}

// What is told that its descriptor may be read.
class Pollable {
 public:
  virtual ~Pollable() = default;
  virtual void on_readable() = 0;
};

// Level-triggered reads of many descriptors. One thread. Throws std::system_error.
class Poller {
 public:
  Poller();
  // `what` must outlive its descriptor, which leaves the poller by being closed.
  void add(int fd, Pollable& what);
  // Waits up to `longest` and tells everything that may be read.
  void turn(std::chrono::milliseconds longest);

 private:
  UniqueFd epoll_;
};

// A non-blocking connection to 127.0.0.1 without Nagle's delay. Throws std::system_error.
UniqueFd connect_to(std::uint16_t port);

// Listens on a free port of 127.0.0.1. Throws std::system_error.
UniqueFd listen_on_loopback();
std::uint16_t port_of(const UniqueFd& socket);

// Writes all of a message that is smaller than the socket's buffer. Throws std::system_error, also for a
// part.
void send_all(const UniqueFd& socket, std::string_view message);

enum class Received { kSome, kNothing, kEnd };
// Appends what has come. kEnd also for a connection that broke.
Received receive(const UniqueFd& socket, std::string& into);

}  // namespace sterna::bench
