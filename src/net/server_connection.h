// A client's connection as the server keeps it: it can be timed out, drained, and replaced.
#pragma once

#include <list>
#include <memory>
#include <string_view>

#include "net/client_counts.h"
#include "net/loop.h"
#include "net/transport.h"

namespace sterna::net {

class HttpServer;

// Bytes that are read from one client before the others and the timers have their turn.
inline constexpr std::size_t kReadShare = 128U << 10;

// Told of events only while it is in the server's list. One loop.
class ServerConnection : public EventHandler, public TurnEnd {
 public:
  ServerConnection(HttpServer& server, Transport transport)
      : server_(server), transport_(std::move(transport)) {}
  ~ServerConnection() override;

  // Ends what has taken too long.
  virtual void check_deadline(MonotonicTime now) = 0;
  // Ends when nothing is under way, now or later; who answers is told that the server ends. May be told
  // again.
  virtual void drain() = 0;
  // Closes when it waits for its client and not the other way round; false: it does not.
  virtual bool give_way() = 0;
  // At once. The object lives on until the loop's turn ends.
  virtual void close() = 0;

 protected:
  // Takes it out of the loop and the server's list.
  void leave();
  // Another connection takes over the socket and what was read from it and is not used.
  void hand_over_to_http2(std::string client, std::string_view bytes);

  HttpServer& server_;
  Transport transport_;

 private:
  friend class HttpServer;
  std::list<std::unique_ptr<ServerConnection>>::iterator place_;
  ClientCounts::Place counted_;  // among its client's connections
};

}  // namespace sterna::net
