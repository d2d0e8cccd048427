// A server's front door without a port: bytes go in over a pair of sockets, on a clock that stands.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "input.h"
#include "net/http_server.h"

namespace sterna::fuzz {

// One server for all inputs; each gets a connection of its own. `Service` is an HttpService that is made of
// the loop and tells by `owes_answers` whether it still has to answer.
template <class Service>
class Edge {
 public:
  explicit Edge(const net::HttpLimits& limits) {
    auto server = net::HttpServer::listen(loop_, "127.0.0.1", 0, service_, limits, budget_);
    must(server.has_value(), "the server listens");
    server_ = std::move(*server);
  }

  Service& service() { return service_; }

  // Sends `bytes` in parts of at most `most`, takes all answers, and sees the connection end.
  void run(std::string_view bytes, Cutter cutter, std::size_t most) {
    std::array<int, 2> ends{};
    must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0,
         "a pair of sockets");
    client_ = UniqueFd(ends[0]);
    server_->adopt(UniqueFd(ends[1]), "192.0.2.1");
    while (!bytes.empty()) {
      const ssize_t sent =
          ::send(client_.get(), bytes.data(), std::min(bytes.size(), cutter.next(most)), MSG_NOSIGNAL);
      if (sent <= 0) break;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      turn();
    }
    while (service_.owes_answers()) turn();
    ::shutdown(client_.get(), SHUT_WR);
    turn();
    for (int hours = 0; server_->connections() > 0; ++hours) {
      must(hours < 10, "a connection ends");
      clock_.advance(std::chrono::hours(1));
      for (int turns = 0; turns < 4; ++turns) turn();
    }
    must(budget_.in_use == 0, "no body is left");
  }

 private:
  void turn() {
    loop_.turn({});
    std::array<char, 16384> answer{};
    while (::recv(client_.get(), answer.data(), answer.size(), 0) > 0) {
    }
  }

  ManualClock clock_;
  net::Loop loop_{clock_};
  Service service_{loop_};
  net::BodyBudget budget_;
  std::unique_ptr<net::HttpServer> server_;
  UniqueFd client_;
};

}  // namespace sterna::fuzz
