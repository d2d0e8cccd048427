// Connections to a function's own server: kept open between calls, one call at a time on each.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "native/http/listeners.h"
#include "net/loop.h"

namespace sterna::native {

// An address on this machine.
class Target {
 public:
  static Target tcp(Family family, std::uint16_t port);
  // `path` is at most 107 bytes long.
  static Target unix_socket(const std::string& path);
  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

class ConnectionUser {
 public:
  virtual ~ConnectionUser() = default;
  // EPOLL* bits; edge-triggered, also while connecting.
  virtual void on_socket(std::uint32_t events) = 0;
};

class Upstream;

class Connection final : public net::EventHandler {
 public:
  // Begins to connect. Fails with io.
  static Result<std::unique_ptr<Connection>> open(Upstream& upstream, const Target& target);
  ~Connection() override;

  int fd() const { return socket_.get(); }
  // Has carried a call before.
  bool used() const { return used_; }
  void give_to(ConnectionUser* user) { user_ = user; }

 private:
  friend class Upstream;
  Connection(Upstream& upstream, UniqueFd socket) : upstream_(upstream), socket_(std::move(socket)) {}
  void on_event(std::uint32_t events) override;

  Upstream& upstream_;
  UniqueFd socket_;
  ConnectionUser* user_ = nullptr;  // null: idle
  bool used_ = false;
  MonotonicTime idle_since_;
};

class Upstream {
 public:
  Upstream(net::Loop& loop, const Target& target);
  ~Upstream();

  net::Loop& loop() { return loop_; }
  enum class Which : std::uint8_t { kAny, kNew };
  // An idle connection or a new one; its events go to `user`. Fails with io.
  Result<std::unique_ptr<Connection>> take(ConnectionUser& user, Which which);
  // For a connection that can carry another call.
  void put_back(std::unique_ptr<Connection> connection);

 private:
  friend class Connection;
  void drop(Connection& connection);
  void drop_old();
  void watch_idle();

  net::Loop& loop_;
  const Target target_;
  std::vector<std::unique_ptr<Connection>> idle_;  // the last one was used last
  net::Loop::TimerId timer_;
  bool timer_runs_ = false;
};

}  // namespace sterna::native
