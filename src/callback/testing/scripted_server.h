// For tests: an HTTP server on loopback whose every answer is decided by the test, down to the bytes.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace sterna::callback::testing {

struct Received {
  std::string line;  // "POST /x HTTP/1.1"
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  // Of the first header with this name; empty when there is none.
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key.size() == name.size() && strncasecmp(key.data(), name.data(), name.size()) == 0) return value;
    }
    return {};
  }
};

struct Reply {
  enum class Then : std::uint8_t { kKeep, kClose };
  std::string bytes;
  Then then = Then::kKeep;
  std::string again;  // sent over and over, until the client goes
};

inline Reply reply_with(std::string_view status, std::string_view headers = {}, std::string_view body = {}) {
  return {"HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
              std::string(headers) + "\r\n" + std::string(body),
          Reply::Then::kKeep,
          {}};
}

class ScriptedServer {
 public:
  using Script = std::function<Reply(const Received&)>;

  // kHeads: answers without reading bodies. kHeadsFirst: reads them a while after it has answered.
  enum class Reads : std::uint8_t { kAll, kHeads, kHeadsFirst };

  // `script` runs on the connections' threads.
  explicit ScriptedServer(Script script, Reads reads = Reads::kAll)
      : script_(std::move(script)), reads_(reads) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    STERNA_ASSERT(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    STERNA_ASSERT(::listen(listener_.get(), 512) == 0);
    STERNA_ASSERT(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  ~ScriptedServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    {
      const std::scoped_lock lock(mutex_);
      for (const UniqueFd& connection : connections_) ::shutdown(connection.get(), SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string port() const { return std::to_string(port_); }
  std::string url(std::string_view path = "/") const {
    return "http://127.0.0.1:" + port() + std::string(path);
  }

  std::vector<Received> received() const {
    const std::scoped_lock lock(mutex_);
    return received_;
  }
  std::size_t connections() const {
    const std::scoped_lock lock(mutex_);
    return connections_.size();
  }

 private:
  static constexpr int kBodyDelayMs = 300;

  void accept_all() {
    while (true) {
      UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection) return;
      const int fd = connection.get();
      {
        const std::scoped_lock lock(mutex_);
        connections_.push_back(std::move(connection));
      }
      threads_.emplace_back([this, fd] { serve(fd); });
    }
  }

  void serve(int fd) {
    std::string buffer;
    while (auto request = read_head(fd, buffer)) {
      if (reads_ == Reads::kAll && !read_body(fd, buffer, *request)) break;
      if (reads_ != Reads::kHeadsFirst) keep(*request);
      const Reply reply = script_(*request);
      bool sent = send_all(fd, reply.bytes);
      if (reads_ == Reads::kHeadsFirst) {
        wait_unless_it_goes(fd);
        if (!read_body(fd, buffer, *request)) break;
        keep(*request);
      }
      while (sent && !reply.again.empty()) sent = send_all(fd, reply.again) && wait_a_little(fd);
      if (!sent || reply.then == Reply::Then::kClose) break;
    }
    ::shutdown(fd, SHUT_RDWR);
  }

  void keep(const Received& request) {
    const std::scoped_lock lock(mutex_);
    received_.push_back(request);
  }

  static bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // False when the client has gone.
  static bool wait_a_little(int fd) {
    const timeval limit{.tv_sec = 0, .tv_usec = 10'000};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    char byte = 0;
    const auto count = ::recv(fd, &byte, 1, 0);
    return count > 0 || (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
  }

  static void wait_unless_it_goes(int fd) {
    pollfd client{.fd = fd, .events = POLLRDHUP, .revents = 0};
    ::poll(&client, 1, kBodyDelayMs);
  }

  static bool read_more(int fd, std::string& buffer) {
    char piece[64 << 10];
    const auto count = ::recv(fd, piece, sizeof(piece), 0);
    if (count <= 0) return false;
    buffer.append(piece, static_cast<std::size_t>(count));
    return true;
  }

  static std::optional<Received> read_head(int fd, std::string& buffer) {
    std::size_t end = 0;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more(fd, buffer)) return std::nullopt;
    }
    Received request = parse_head(std::string_view(buffer).substr(0, end));
    buffer.erase(0, end + 4);
    return request;
  }

  static bool read_body(int fd, std::string& buffer, Received& request) {
    std::size_t length = 0;
    const std::string text = request.header("content-length");
    std::from_chars(text.data(), text.data() + text.size(), length);
    while (buffer.size() < length) {
      if (!read_more(fd, buffer)) return false;
    }
    request.body = buffer.substr(0, length);
    buffer.erase(0, length);
    return true;
  }

  static Received parse_head(std::string_view head) {
    Received request;
    request.line = head.substr(0, head.find("\r\n"));
    for (auto at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n")) {
      head.remove_prefix(at + 2);
      const std::string_view line = head.substr(0, head.find("\r\n"));
      const auto colon = line.find(':');
      std::string_view value = line.substr(colon + 1);
      if (value.starts_with(' ')) value.remove_prefix(1);
      request.headers.emplace_back(line.substr(0, colon), value);
    }
    return request;
  }

  Script script_;
  Reads reads_;
  UniqueFd listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Received> received_;     // guarded by mutex_
  std::vector<UniqueFd> connections_;  // guarded by mutex_; closed with the server
  std::vector<std::thread> threads_;   // the acceptor's until it has ended
  std::thread acceptor_;
};

}  // namespace sterna::callback::testing
