// A server on loopback and clients with plain sockets, all in the test's thread, on a clock that stands
// still.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/http_server.h"

namespace sterna::net::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Answers with what it has got, unless a test says otherwise.
class TestService final : public HttpService {
 public:
  std::function<std::uint64_t(HttpConnection&)> head = [](HttpConnection&) { return 1000; };
  std::function<void(HttpConnection&)> request = [](HttpConnection& connection) {
    connection.begin(200);
    std::string text(connection.request().method);
    text.append(" ").append(connection.request().target).append(" ").append(connection.body().memory());
    connection.send(text);
  };
  int requests = 0;
  unsigned refused = 0;  // status of the last refusal
  std::string reason;

  std::uint64_t on_head(HttpConnection& connection) override { return head(connection); }
  void on_request(HttpConnection& connection) override {
    ++requests;
    request(connection);
  }
  void on_refused(HttpConnection& connection, unsigned status, const Error& error) override {
    refused = status;
    reason = error.reason;
    connection.begin(status);
    connection.send(error.reason);
  }
};

class TestObserver final : public ResponseObserver {
 public:
  bool gone = false;
  std::function<void()> drained = [] {};
  void on_client_gone() override { gone = true; }
  void on_drained() override { drained(); }
  std::function<void()> server_ends = [] {};
  void on_server_ends() override { server_ends(); }
};

class HttpTest : public ::testing::Test {
 protected:
  ~HttpTest() override { turn(); }  // what was closed outside a turn goes before its server

  class Client {
   public:
    explicit Client(HttpTest& test, in_addr to = {.s_addr = htonl(INADDR_LOOPBACK)})
        : test_(test), socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(test.server().port());
      address.sin_addr = to;
      const int small = 4096;  // so that a client that does not read is felt soon
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
      EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
      ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
    }
    void send(std::string_view bytes) {
      while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
        if (sent < 0 && errno != EAGAIN) return;  // the server has closed: the test sees it by the answer
        test_.turn();
      }
    }
    void half_close() { ::shutdown(socket_.get(), SHUT_WR); }
    void close() { socket_.reset(); }
    // Takes what is there. False when the server has closed.
    bool read() {
      std::string room(64U << 10, '\0');
      ssize_t got = 0;
      while ((got = ::recv(socket_.get(), room.data(), room.size(), 0)) > 0) {
        text.append(room, 0, static_cast<std::size_t>(got));
      }
      closed = closed || got == 0 || errno != EAGAIN;
      return !closed;
    }
    std::string text;  // all that came
    bool closed = false;

   private:
    HttpTest& test_;
    UniqueFd socket_;
  };

  HttpServer& server() {
    if (!server_) server_ = *HttpServer::listen(loop_, listen_on_, 0, service_, limits_, budget_);
    return *server_;
  }
  void turn() { loop_.turn(milliseconds(1)); }
  // Turns the loop until `done`; false when that has not come in ten seconds of real time.
  bool until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      turn();
    }
    return true;
  }
  // Waits for `text` as the end of all that the client has got.
  ::testing::AssertionResult ends_with(Client& client, std::string_view text) {
    if (until([&] { return client.read(), client.text.ends_with(text); }))
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "got: " << client.text;
  }
  ::testing::AssertionResult closes(Client& client) {
    if (until([&] { return !client.read(); })) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "still open, got: " << client.text;
  }
  // The status of the one answer to `request`, after which the server must close.
  int refusal(std::string_view request) {
    Client client(*this);
    client.send(request);
    client.half_close();
    EXPECT_TRUE(closes(client)) << request;
    EXPECT_EQ(client.text.find("HTTP/1.1", 1), std::string::npos) << client.text;
    return client.text.starts_with("HTTP/1.1 ") ? std::stoi(client.text.substr(9, 3)) : 0;
  }
  void pass(Duration time) {
    clock_.advance(time);
    turn();
    turn();
  }

  ManualClock clock_;
  Loop loop_{clock_};
  TestService service_;
  std::string listen_on_ = "127.0.0.1";
  HttpLimits limits_;
  BodyBudget budget_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace sterna::net::testing
