// For tests: an HTTP server on loopback that answers one request after another with prepared bytes.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace sterna::cli {

inline std::string reply_with(std::string_view status, std::string_view headers, std::string_view body) {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

class TestServer {
 public:
  // Closes the connection when the replies are used up, and takes no other.
  explicit TestServer(std::deque<std::string> replies) : replies_(std::move(replies)) {
    listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    STERNA_ASSERT(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    STERNA_ASSERT(::listen(listener_.get(), 8) == 0);
    STERNA_ASSERT(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { serve(); });
  }
  ~TestServer() { shutdown(listener_.get(), SHUT_RDWR); }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // Heads and bodies as they came, one string a request.
  std::vector<std::string> requests() {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (!replies_.empty()) {
      const UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection) return;
      while (!replies_.empty() && read_request(connection.get())) {
        const std::string reply = std::move(replies_.front());
        replies_.pop_front();
        if (send(connection.get(), reply.data(), reply.size(), MSG_NOSIGNAL) < 0) break;
      }
    }
    shutdown(listener_.get(), SHUT_RDWR);  // refuses what nobody would answer
  }

  bool read_request(int connection) {
    std::string text;
    while (!is_whole(text)) {
      char buffer[4096];
      const auto count = recv(connection, buffer, sizeof(buffer), 0);
      if (count <= 0) return false;
      text.append(buffer, static_cast<std::size_t>(count));
    }
    const std::scoped_lock lock(mutex_);
    requests_.push_back(text);
    return true;
  }

  static bool is_whole(std::string_view text) {
    const auto end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) return false;
    if (text.contains("Transfer-Encoding: chunked")) return text.ends_with("\r\n0\r\n\r\n");
    constexpr std::string_view kLength = "Content-Length: ";
    const auto at = text.find(kLength);
    std::size_t length = 0;
    if (at != std::string_view::npos) {
      std::from_chars(text.data() + at + kLength.size(), text.data() + text.size(), length);
    }
    return text.size() >= end + 4 + length;
  }

  std::deque<std::string> replies_;
  UniqueFd listener_;
  int port_ = 0;
  std::mutex mutex_;
  std::vector<std::string> requests_;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace sterna::cli
