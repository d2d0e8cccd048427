#include "native/http/upstream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sterna::native {
namespace {

// Servers close idle connections after 2 s (gunicorn) or more: we go first, so that no call meets a closed
// one. Servers that serve one connection at a time wait for it too.
constexpr Duration kMaxIdle = std::chrono::milliseconds(1500);

}  // namespace

Target Target::tcp(Family family, std::uint16_t port) {
  Target target;
  if (family == Family::kV4) {
    auto& address = reinterpret_cast<sockaddr_in&>(target.storage_);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.size_ = sizeof address;
  } else {
    auto& address = reinterpret_cast<sockaddr_in6&>(target.storage_);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    address.sin6_addr = in6addr_loopback;
    target.size_ = sizeof address;
  }
  return target;
}

Target Target::unix_socket(const std::string& path) {
  Target target;
  auto& address = reinterpret_cast<sockaddr_un&>(target.storage_);
  STERNA_ASSERT(path.size() < sizeof address.sun_path);
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  target.size_ = sizeof address;
  return target;
}

Result<std::unique_ptr<Connection>> Connection::open(Upstream& upstream, const Target& target) {
  const int family = target.address()->sa_family;
  UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(Component::kFunction, "socket", errno);
  const int on = 1;
  if (family != AF_UNIX) ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(socket.get(), target.address(), target.size()) != 0 && errno != EINPROGRESS) {
    return fail_errno(Component::kFunction, "connect to the function's server", errno);
  }
  std::unique_ptr<Connection> connection(new Connection(upstream, std::move(socket)));
  if (const Status added = upstream.loop().add(connection->fd(), *connection); !added)
    return std::unexpected(added.error());
  return connection;
}

Connection::~Connection() {
  upstream_.loop().remove(socket_.get(), *this);
}

void Connection::on_event(std::uint32_t events) {
  if (user_ != nullptr) return user_->on_socket(events);
  // Nothing is asked for: whatever comes now is the end, or cannot be understood.
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) upstream_.drop(*this);
}

Upstream::Upstream(net::Loop& loop, const Target& target) : loop_(loop), target_(target) {}

Upstream::~Upstream() {
  loop_.cancel(timer_);
}

Result<std::unique_ptr<Connection>> Upstream::take(ConnectionUser& user, Which which) {
  if (which == Which::kAny && !idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    connection->give_to(&user);
    return connection;
  }
  auto made = Connection::open(*this, target_);
  if (made) (*made)->give_to(&user);
  return made;
}

void Upstream::put_back(std::unique_ptr<Connection> connection) {
  connection->give_to(nullptr);
  connection->used_ = true;
  connection->idle_since_ = loop_.now();
  idle_.push_back(std::move(connection));
  watch_idle();
}

// One timer for all: under load the last idle connection comes and goes with each call.
void Upstream::watch_idle() {
  if (idle_.empty() || std::exchange(timer_runs_, true)) return;
  timer_ = loop_.after(idle_.front()->idle_since_ + kMaxIdle - loop_.now(), [this] { drop_old(); });
}

void Upstream::drop(Connection& connection) {
  const auto found = std::ranges::find(idle_, &connection, &std::unique_ptr<Connection>::get);
  if (found == idle_.end()) return;
  loop_.dispose(std::move(*found));
  idle_.erase(found);
}

void Upstream::drop_old() {
  timer_runs_ = false;
  const MonotonicTime oldest = loop_.now() - kMaxIdle;
  std::erase_if(idle_, [&](const auto& each) { return each->idle_since_ <= oldest; });
  watch_idle();
}

}  // namespace sterna::native
