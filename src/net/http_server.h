// HTTP over TCP: accepts connections and hands whole requests to a service. Everything on one loop.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_connection.h"
#include "net/loop.h"
#include "net/server_connection.h"
#include "net/tls_context.h"

namespace sterna::net {

struct HttpLimits {
  std::size_t max_header_bytes = 32U << 10;
  std::size_t max_connections = 10'000;
  std::size_t max_connections_per_client = 2'500;  // of one address; of a network of 64 bits with IPv6
  std::uint32_t max_streams = 128;                 // requests at a time on one HTTP/2 connection
  Duration header_timeout = std::chrono::seconds(10);
  Duration body_timeout = std::chrono::seconds(60);  // and at least kMinBodyRate on average after it
  Duration keepalive = std::chrono::seconds(75);
  Duration write_stall = std::chrono::seconds(60);  // no byte of a response could be written for that long
};

// Connections that were answered with 503 and closed, by why.
struct Refused {
  std::uint64_t full = 0;            // max_connections, and all of them are being served
  std::uint64_t client = 0;          // max_connections_per_client
  std::uint64_t no_descriptors = 0;  // the process may open no more files
};

class HttpServer final : private EventHandler {
 public:
  // Listens on host:port (port 0: any). Fails with io, reason `cannot_listen`.
  static Result<std::unique_ptr<HttpServer>> listen(Loop& loop, const std::string& host, std::uint16_t port,
                                                    HttpService& service, const HttpLimits& limits,
                                                    BodyBudget& budget,
                                                    std::unique_ptr<TlsContext> tls = nullptr);
  // `tls`: null for plain text.
  HttpServer(Loop& loop, UniqueFd socket, HttpService& service, const HttpLimits& limits, BodyBudget& budget,
             std::unique_ptr<TlsContext> tls);
  ~HttpServer() override;

  std::uint16_t port() const { return port_; }
  std::size_t connections() const { return connections_.size(); }
  std::uint64_t accepted() const { return accepted_; }
  const Refused& refused() const { return refused_; }

  // Serves a connected socket that does not block; `client` is the other side's address. What accepting does,
  // and tests without a network.
  void adopt(UniqueFd socket, std::string client, ClientCounts::Place counted = {});

  // Stops accepting and closes connections that are idle or in the midst of a head; those with a request in
  // flight close after its answer, and bodies have kDrainPatience to come.
  void drain();
  // Ends all connections at once, whatever is under way; who answers is told that the client is gone.
  void cut_off();

 private:
  friend class ServerConnection;
  friend class Http1Connection;
  friend class Http2Session;
  friend class Http2Stream;
  void on_event(std::uint32_t events) override;
  void accept_all();
  void take_in(UniqueFd client, const sockaddr_storage& address);
  bool refuse_with_reserve();
  void accept_later();
  bool make_room();
  void sweep();
  void drain_connections();
  void give_memory_back();
  // How long clients are waited for that are otherwise given `usual`.
  Duration patience(Duration usual) const { return draining_ ? std::min(usual, kDrainPatience) : usual; }
  // The end of a status line and the header Date.
  std::string_view date_line();
  // The value of that header alone.
  std::string_view date();
  // The most frequent status line, with the header Date.
  std::string_view ok_lines();
  void set_date();

  Loop& loop_;
  UniqueFd socket_;
  HttpService& service_;
  const HttpLimits limits_;
  BodyBudget& budget_;
  const std::unique_ptr<TlsContext> tls_;
  std::uint16_t port_ = 0;
  bool draining_ = false;
  MonotonicTime draining_since_ = MonotonicTime::max();
  std::uint64_t accepted_ = 0;
  Refused refused_;
  ClientCounts clients_;
  UniqueFd reserve_;  // given up to tell a client that there is no descriptor for it
  std::optional<Loop::TimerId> accept_timer_;
  Loop::TimerId sweep_timer_;
  std::uint64_t sweeps_ = 0;
  std::size_t most_connections_ = 0;  // since memory was given back
  MonotonicTime gave_back_at_;
  std::list<std::unique_ptr<ServerConnection>> connections_;
  std::string ok_lines_;  // of date_second_
  std::chrono::seconds date_second_{};
};

}  // namespace sterna::net
