// A request of the management API: handled on a thread that may block, answered on the loop.
#pragma once

#include <functional>
#include <memory>

#include "gateway/gatekeeper.h"
#include "gateway/management.h"
#include "net/background.h"
#include "net/http_server.h"

namespace sterna::gateway {

// For the management thread, and for that of tokens: all requests, and those of the apps of one space. More
// are 503. A few of each space, and of those who are of none, have room though the others wait in crowds.
inline constexpr std::size_t kMaxWaitingRequests = 256;
inline constexpr std::size_t kMaxWaitingOfSpace = 128;
inline constexpr std::size_t kReservedOfSpace = 8;
inline constexpr std::size_t kMostWaitingRequests = 2048;

// Those of the apps of one space wait in one lane, and spaces take turns.
std::string lane_of(const auth::Grant* caller);
bool has_room(const net::Background& thread, std::string_view lane);

class ManagementExchange final : public std::enable_shared_from_this<ManagementExchange>,
                                 private net::ResponseObserver {
 public:
  // Shared by the loop and the thread that handles the request: either may be the last to need it.
  static void start(net::Loop& loop, net::Background& thread, Management& management,
                    net::HttpConnection& connection, auth::GrantPtr caller, std::string_view path,
                    std::string_view query);

  // Has the audit log keep that somebody who is known was refused; of very many it keeps the number.
  static void refused(net::Background& thread, Management& management, const net::HttpConnection& connection,
                      std::string_view path, const Refusal& refusal);

  explicit ManagementExchange(net::HttpConnection& connection) : connection_(&connection) {}

 private:
  void on_client_gone() override { connection_ = nullptr; }
  void on_drained() override {}
  void answer(const ManagementReply& reply);
  void fail(const Error& error);  // its body cannot be read back

  net::HttpConnection* connection_;  // loop only; null when the client is gone
};

}  // namespace sterna::gateway
