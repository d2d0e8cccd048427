#include "net/http_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/ip_address.h"
#include "net/http1_connection.h"

namespace sterna::net {
namespace {

constexpr Duration kSweepEvery = std::chrono::milliseconds(500);
constexpr std::uint64_t kSweepsPerRefresh = 4;  // of the certificate
constexpr std::size_t kManyLeft = 256;
constexpr Duration kGiveBackEvery = std::chrono::seconds(10);
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);
// Clients that are taken in before those that are there have their turn: who has not been listened to does
// not give way, and a burst of such would fill all places.
constexpr int kAcceptShare = 16;
constexpr std::string_view kOk = "HTTP/1.1 200 OK";

// Whether a client is in the backlog.
bool somebody_waits(int fd) {
  pollfd listener{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&listener, 1, 0) > 0;
}

// What has come of a request is taken first: the kernel answers what nobody has read with a reset, which may
// take the answer from the client.
void drop_input(int fd) {
  constexpr int kMostReads = 16;
  std::array<char, 4096> dropped{};
  for (int i = 0; i < kMostReads && ::recv(fd, dropped.data(), dropped.size(), MSG_DONTWAIT) > 0; ++i) {
  }
}

// Before a connection is made of it: it costs next to nothing.
void answer_unavailable(int fd, std::string_view reason, std::string_view detail) {
  const std::string body = fmt::format(
      R"({{"type":"urn:sterna:problem:{0}","title":"Service Unavailable","status":503,"detail":"{1}",)"
      R"("reason":"{0}","component":"gateway"}})",
      reason, detail);
  const std::string answer = fmt::format(
      "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nX-Sterna-Fault: "
      "platform\r\n"
      "Content-Type: application/problem+json\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
  ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(fd, SHUT_WR);
  drop_input(fd);
}

UniqueFd open_reserve() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

// One that came to a socket of version 6 by version 4 is told as what it is: 192.0.2.1, not ::ffff:192.0.2.1.
std::string address_text(const sockaddr_storage& address) {
  const auto ip = ip_of(reinterpret_cast<const sockaddr&>(address));
  return ip ? to_string(*ip) : "";
}

std::unexpected<Error> cannot_listen(const std::string& host, std::uint16_t port, std::string_view why) {
  return fail(Code::kIo, Component::kGateway, "cannot_listen",
              "cannot listen on " + host + ":" + std::to_string(port) + ": " + std::string(why));
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::listen(Loop& loop, const std::string& host,
                                                       std::uint16_t port, HttpService& service,
                                                       const HttpLimits& limits, BodyBudget& budget,
                                                       std::unique_ptr<TlsContext> tls) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int rc = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); rc != 0) {
    return cannot_listen(host, port, ::gai_strerror(rc));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  UniqueFd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (!socket || ::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(socket.get(), 4096) != 0) {
    const int error = errno;
    return cannot_listen(host, port,
                         error == EADDRINUSE ? "the address is in use; choose another"
                                             : std::string_view(std::strerror(error)));
  }
  return std::make_unique<HttpServer>(loop, std::move(socket), service, limits, budget, std::move(tls));
}

HttpServer::HttpServer(Loop& loop, UniqueFd socket, HttpService& service, const HttpLimits& limits,
                       BodyBudget& budget, std::unique_ptr<TlsContext> tls)
    : loop_(loop),
      socket_(std::move(socket)),
      service_(service),
      limits_(limits),
      budget_(budget),
      tls_(std::move(tls)),
      clients_(limits.max_connections_per_client),
      reserve_(open_reserve()),
      gave_back_at_(loop.now()) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                              : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  const Status added = loop_.add(socket_.get(), *this, EPOLLIN | EPOLLET);
  STERNA_ASSERT(added.has_value());
  sweep_timer_ = loop_.after(kSweepEvery, [this] { sweep(); });
}

HttpServer::~HttpServer() {
  loop_.cancel(sweep_timer_);
  if (accept_timer_) loop_.cancel(*accept_timer_);
  if (socket_) loop_.remove(socket_.get(), *this);
  connections_.clear();  // they still need the server
}

void HttpServer::on_event(std::uint32_t) {
  accept_all();
}

void HttpServer::accept_all() {
  for (int accepted = 0; socket_; ++accepted) {
    if (accepted == kAcceptShare) return loop_.tell_again(*this, EPOLLIN);
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    UniqueFd client(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length,
                              SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      // The kernel looks for a descriptor before it looks whether anybody waits.
      const bool none_left = errno == EMFILE || errno == ENFILE;
      if (none_left && !somebody_waits(socket_.get())) return;
      if (none_left && (make_room() || refuse_with_reserve())) continue;
      if (errno != EAGAIN) accept_later();
      return;
    }
    ++accepted_;
    take_in(std::move(client), address);
  }
}

void HttpServer::take_in(UniqueFd client, const sockaddr_storage& address) {
  if (connections_.size() >= limits_.max_connections && !make_room()) {
    ++refused_.full;
    return answer_unavailable(client.get(), "too_many_connections",
                              "the server has as many connections as it may have; try again later");
  }
  const auto ip = ip_of(reinterpret_cast<const sockaddr&>(address));
  auto counted = ip ? clients_.take(*ip) : ClientCounts::Place();
  if (!counted) {
    ++refused_.client;
    return answer_unavailable(client.get(), "too_many_connections_of_client",
                              "this address has as many connections as one may have; close some, or use them "
                              "for further requests");
  }
  const int on = 1;
  ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  adopt(std::move(client), address_text(address), std::move(*counted));
}

// No descriptor is left: a client is told so with the one that is kept for that, and does not wait for
// nothing. False, with errno: nobody waits, or somebody else has taken the descriptor.
bool HttpServer::refuse_with_reserve() {
  if (!reserve_) reserve_ = open_reserve();
  if (!reserve_) return false;
  reserve_.reset();
  int error = 0;
  {
    const UniqueFd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    error = client ? 0 : errno;
    if (client) {
      ++refused_.no_descriptors;
      answer_unavailable(client.get(), "out_of_descriptors",
                         "the server may open no more files at the moment; try again later");
    }
  }
  reserve_ = open_reserve();
  errno = error;
  return error == 0;
}

// Without descriptors or memory those that wait in the backlog are tried again soon, by one timer however
// many come: the kernel tells each of them once.
void HttpServer::accept_later() {
  if (accept_timer_) return;
  accept_timer_ = loop_.after(kAcceptPause, [this] {
    accept_timer_.reset();
    accept_all();
  });
}

void HttpServer::adopt(UniqueFd socket, std::string client, ClientCounts::Place counted) {
  const int fd = socket.get();
  SslPtr session = tls_ ? tls_->session() : nullptr;
  if (tls_ && !session) return;
  auto connection = std::make_unique<Http1Connection>(*this, Transport(std::move(socket), std::move(session)),
                                                      std::move(client));
  ServerConnection& added = *connection;
  connections_.push_front(std::move(connection));
  added.place_ = connections_.begin();
  added.counted_ = std::move(counted);
  most_connections_ = std::max(most_connections_, connections_.size());
  if (!loop_.add(fd, added)) added.close();
}

// One that waits for its client gives way to a new one, the longest known first: clients that are idle, slow,
// or do not read cannot keep others out. Those that are being served go to the front of the list, so that
// they are not looked at again and again.
bool HttpServer::make_room() {
  constexpr std::size_t kMostLookedAt = 256;
  for (std::size_t seen = 0; seen < kMostLookedAt && !connections_.empty(); ++seen) {
    if (connections_.back()->give_way()) return true;
    connections_.splice(connections_.begin(), connections_, std::prev(connections_.end()));
  }
  return false;
}

void HttpServer::sweep() {
  if (draining_) drain_connections();  // what has begun since then, and who was given a moment
  const MonotonicTime now = loop_.now();
  for (auto next = connections_.begin(); next != connections_.end();) {
    ServerConnection& connection = **next++;  // it may take itself out of the list
    connection.check_deadline(now);
  }
  give_memory_back();
  if (tls_ && ++sweeps_ % kSweepsPerRefresh == 0) tls_->refresh();
  sweep_timer_ = loop_.after(kSweepEvery, [this] { sweep(); });
}

// What many connections have held is free when they leave, but the allocator keeps it until it is told. That
// takes some milliseconds for each hundred MB, hence not often.
void HttpServer::give_memory_back() {
  const MonotonicTime now = loop_.now();
  if (connections_.size() + kManyLeft > most_connections_ || now < gave_back_at_ + kGiveBackEvery) return;
  most_connections_ = connections_.size();
  gave_back_at_ = now;
  malloc_trim(0);
}

void HttpServer::drain() {
  if (!socket_) return;
  draining_ = true;
  draining_since_ = loop_.now();
  loop_.remove(socket_.get(), *this);
  socket_.reset();
  drain_connections();
}

void HttpServer::drain_connections() {
  for (auto next = connections_.begin(); next != connections_.end();) {
    ServerConnection& connection = **next++;
    connection.drain();
  }
}

void HttpServer::cut_off() {
  for (auto next = connections_.begin(); next != connections_.end();) {
    ServerConnection& connection = **next++;
    connection.close();
  }
}

std::string_view HttpServer::ok_lines() {
  const auto second = std::chrono::floor<std::chrono::seconds>(loop_.now().time_since_epoch());
  if (second != date_second_ || ok_lines_.empty()) {
    date_second_ = second;
    set_date();
  }
  return ok_lines_;
}

std::string_view HttpServer::date_line() {
  return ok_lines().substr(kOk.size());
}

std::string_view HttpServer::date() {
  constexpr std::string_view kBefore = "\r\nDate: ";
  constexpr std::string_view kBehind = "\r\n";
  const std::string_view line = date_line();
  return line.substr(kBefore.size(), line.size() - kBefore.size() - kBehind.size());
}

void HttpServer::set_date() {
  const std::time_t now = std::chrono::system_clock::to_time_t(loop_.clock().wall());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 50> text{};
  const std::size_t size =
      std::strftime(text.data(), text.size(), "\r\nDate: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
  ok_lines_.assign(kOk).append(text.data(), size);
}

}  // namespace sterna::net
