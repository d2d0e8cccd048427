// One connection of a function's program to the Runtime API: takes requests one after the other, each with
// one answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "net/http_parser.h"
#include "net/loop.h"

namespace sterna::native {

class ApiConnection;

// What becomes of one request's body. Lives until the request has been answered or its connection is gone.
class ApiRequest {
 public:
  virtual ~ApiRequest() = default;
  // How many bytes of body it takes now. 0: reading rests until ApiConnection::resume.
  virtual std::size_t room() const { return SIZE_MAX; }
  virtual void on_body(std::string_view /*part*/) {}
  virtual void on_trailer(const net::Header& /*field*/) {}
  // The request is whole. ApiConnection::answer must follow, now or later.
  virtual void on_end() = 0;
  // The connection is gone, or no HTTP, before the answer had left.
  virtual void on_broken() {}
};

class ApiRouter {
 public:
  virtual ~ApiRouter() = default;
  // Finds out from the head what a request is. Never null.
  virtual std::unique_ptr<ApiRequest> route(ApiConnection& connection, const net::HttpRequest& head) = 0;
};

class ApiConnection final : public net::EventHandler, private net::HttpParser::BodySink {
 public:
  // `on_closed` is called once, last.
  ApiConnection(net::Loop& loop, UniqueFd socket, ApiRouter& router, std::function<void()> on_closed);
  ~ApiConnection() override;
  // Fails with io.
  Status open();

  // Answers the request at hand, which is whole. `headers` are lines, with their ends.
  void answer(std::uint32_t status, std::string_view headers, std::string body);
  // There is room again. Reads when the turn's other work is done.
  void resume();

 private:
  // In the order of a request's life.
  enum class State : std::uint8_t { kHead, kBody, kAnswer, kSending, kClosed };

  void on_event(std::uint32_t events) override;
  void on_body_part(std::string_view part) override { request_->on_body(part); }
  void on_trailer(const net::Header& field) override { request_->on_trailer(field); }
  void read();
  void take_in();
  Status take_head();
  Status take_body();
  void write();
  void close();

  net::Loop& loop_;
  UniqueFd socket_;
  ApiRouter& router_;
  const std::function<void()> on_closed_;
  State state_ = State::kHead;
  net::HttpParser parser_;
  net::HttpRequest head_;
  std::unique_ptr<ApiRequest> request_;
  std::string in_;           // what is not understood yet
  std::size_t scanned_ = 0;  // of in_, by find_head
  std::string head_text_;    // viewed by head_
  std::string out_;          // what leaves next, then body_
  std::string body_;
  std::size_t sent_ = 0;
  net::Loop::TimerId resume_timer_;
  bool taking_in_ = false;
  bool stalled_ = false;  // reading rests though the socket may hold more
};

}  // namespace sterna::native
