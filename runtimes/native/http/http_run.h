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

 private:
  void on_socket(std::uint32_t events) override;
  void send_request();
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
  const std::string head_;
  std::size_t sent_ = 0;  // of head and body together
  net::Loop::TimerId end_timer_;
};

}  // namespace sterna::native
