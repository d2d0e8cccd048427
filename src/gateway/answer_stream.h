// Writes a stored answer to a connection, piece by piece as the client takes it.
#pragma once

#include <memory>
#include <string_view>

#include "gateway/rates.h"
#include "net/background.h"
#include "net/http_server.h"
#include "queue/invocations.h"

namespace sterna::gateway {

class AnswerStream final : public std::enable_shared_from_this<AnswerStream>, private net::ResponseObserver {
 public:
  // The response is begun and has the headers that are not the function's; this adds those, but for one of
  // the name `taken`, and the body, whose bytes count: they leave no faster than the meters let them. Pieces
  // of large bodies are read on `thread`.
  static void start(net::Loop& loop, net::Background& thread, net::HttpConnection& connection,
                    queue::StoredAnswer answer, Meters meters, std::string_view taken = {});

  AnswerStream(net::Loop& loop, net::Background& thread, net::HttpConnection& connection,
               std::unique_ptr<queue::AnswerReader> body, Meters meters)
      : loop_(loop),
        thread_(thread),
        connection_(&connection),
        body_(std::move(body)),
        meters_(std::move(meters)) {}

 private:
  void on_client_gone() override;
  void on_drained() override { read_on(); }
  void read_on();
  void on_piece(const Result<std::string>& piece);

  net::Loop& loop_;
  net::Background& thread_;
  net::HttpConnection* connection_;  // loop only; null when the client is gone
  const std::unique_ptr<queue::AnswerReader> body_;
  const Meters meters_;
  std::uint64_t sent_ = 0;
  bool reading_ = false;                // or it waits for the meters
  std::shared_ptr<AnswerStream> self_;  // as long as the client takes it
};

}  // namespace sterna::gateway
