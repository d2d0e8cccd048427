#include "native/lambda/api_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

namespace sterna::native {
namespace {

// A program needs one for each call that it runs at a time, and some that it has forgotten.
constexpr std::size_t kMaxConnections = 256;

}  // namespace

Result<std::unique_ptr<ApiServer>> ApiServer::listen(net::Loop& loop, std::uint16_t port, ApiRouter& router) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(Component::kWorker, "socket", errno);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.get(), generic, size) != 0 || ::listen(socket.get(), SOMAXCONN) != 0 ||
      ::getsockname(socket.get(), generic, &size) != 0) {
    return fail_errno(Component::kWorker, "listen", errno);
  }
  std::unique_ptr<ApiServer> server(
      new ApiServer(loop, std::move(socket), "127.0.0.1:" + std::to_string(ntohs(address.sin_port)), router));
  if (const Status added = loop.add(server->socket_.get(), *server, EPOLLIN | EPOLLET); !added)
    return std::unexpected(added.error());
  return server;
}

ApiServer::ApiServer(net::Loop& loop, UniqueFd socket, std::string address, ApiRouter& router)
    : loop_(loop), socket_(std::move(socket)), address_(std::move(address)), router_(router) {}

ApiServer::~ApiServer() {
  loop_.remove(socket_.get(), *this);
}

void ApiServer::on_event(std::uint32_t) {
  while (true) {
    UniqueFd socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      if (connections_.size() < kMaxConnections) add(std::move(socket));
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return;
    }
  }
}

void ApiServer::add(UniqueFd socket) {
  const int fd = socket.get();
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto connection = std::make_unique<ApiConnection>(loop_, std::move(socket), router_, [this, fd] {
    auto node = connections_.extract(fd);
    if (node) loop_.dispose(std::move(node.mapped()));
  });
  ApiConnection& opened = *connection;
  connections_.emplace(fd, std::move(connection));
  if (!opened.open()) connections_.erase(fd);
}

}  // namespace sterna::native
