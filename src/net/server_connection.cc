#include "net/server_connection.h"

#include "net/http2_session.h"
#include "net/http_server.h"

namespace sterna::net {

ServerConnection::~ServerConnection() {
  server_.loop_.forget(*this);
  if (transport_) server_.loop_.remove(transport_.fd(), *this);
}

void ServerConnection::leave() {
  server_.loop_.remove(transport_.fd(), *this);
  server_.loop_.forget(*this);
  transport_.reset();
  counted_.give_back();
  std::unique_ptr<ServerConnection> self = std::move(*place_);
  server_.connections_.erase(place_);
  server_.loop_.dispose(std::move(self));
}

void ServerConnection::hand_over_to_http2(std::string client, std::string_view bytes) {
  const int fd = transport_.fd();
  server_.loop_.remove(fd, *this);
  server_.loop_.forget(*this);
  auto session = std::make_unique<Http2Session>(server_, std::move(transport_), std::move(client));
  transport_.reset();
  Http2Session& next = *session;
  std::unique_ptr<ServerConnection> self = std::exchange(*place_, std::move(session));
  static_cast<ServerConnection&>(next).place_ = place_;
  static_cast<ServerConnection&>(next).counted_ = std::move(counted_);
  server_.loop_.dispose(std::move(self));
  if (!server_.loop_.add(fd, next)) return next.close();
  next.start(bytes);
}

}  // namespace sterna::net
