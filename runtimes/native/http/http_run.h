// One call of the template `http`: a request to the function's own server, and its response.
#pragma once

#include <memory>
#include <string>

#include "native/desk.h"
#include "native/http/response_parser.h"
#include "native/http/upstream.h"

namespace sterna::native {

class HttpRun final : public Run, private ConnectionUser {
 public:
  HttpRun(Exchange& exchange, Upstream& upstream);
  ~HttpRun() override;
  // Sends the request; ends the exchange when there is no connection.
  void begin(Upstream::Which which = Upstream::Which::kAny);

  void cancel() override;
  void on_window() override { on_socket(EPOLLIN); }
  void on_body() override;

 private:
  void on_socket(std::uint32_t events) override;
  void send_request();
  bool frame_chunk();
  void note_sent(std::size_t bytes);
  bool all_sent() const;
  void read_response();
  void take(std::string_view bytes);
  void send_answer();
  void server_closed();
  void end_well();
  void end_badly(const std::string& why);
  bool may_be_sent_again() const;

  Exchange& exchange_;
  Upstream& upstream_;
  std::unique_ptr<Connection> connection_;
  ResponseParser parser_;
  const bool chunked_;  // the request's body
  bool chunks_ended_ = false;
  std::string text_;  // the head, then each chunk of a body in chunks, framed
  std::size_t text_sent_ = 0;
  std::size_t body_sent_ = 0;  // of a body that came as a whole and is kept
  bool is_spent_ = false;      // of a body in parts something was passed on: it cannot be sent again
  net::Loop::TimerId end_timer_;
};

}  // namespace sterna::native
