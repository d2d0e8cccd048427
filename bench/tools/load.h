// Connections that each send the next request when the answer to the last one is there (a closed loop).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "poller.h"
#include "protocol.h"

namespace sterna::bench {

class Load {
 public:
  struct Events {
    std::function<bool()> may_send;  // asked before each request; a refused connection waits for `resume`
    std::function<void(const Reply& reply, Time sent, Time at)> on_reply;
  };

  // Opens all connections. Throws std::system_error.
  Load(Poller& poller, const Protocol& protocol, std::uint16_t port, unsigned connections, Events events);
  ~Load();

  // Lets every connection that waits ask again whether it may send.
  void resume();
  // Requests whose answers have not come.
  unsigned in_flight() const { return in_flight_; }
  // The first answer that was no acceptance; empty when all were.
  const std::string& first_refusal() const { return first_refusal_; }
  std::uint64_t refused() const { return refused_; }

 private:
  class Connection;
  void send_or_wait(Connection& connection);

  const Protocol& protocol_;
  Events events_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> waiting_;
  unsigned in_flight_ = 0;
  std::uint64_t refused_ = 0;
  std::string first_refusal_;
};

}  // namespace sterna::bench
