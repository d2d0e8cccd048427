// One stream of an HTTP/2 session: a request and its response.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_connection.h"
#include "net/loop.h"

namespace sterna::net {

class Http2Session;

inline constexpr std::size_t kFieldOverhead = 32;  // of each field, as RFC 9113 6.5.2 counts

enum class EndOfStream : std::uint8_t { kNo, kYes };

// Lives in its session, from the first field of the request's head until the stream is closed.
class Http2Stream final : public HttpConnection {
 public:
  Http2Stream(Http2Session& session, std::int32_t id, std::string client);

  void begin(unsigned status) override;
  void header(std::string_view name, std::string_view value) override;
  void send(std::string_view body) override;
  void send_fixed(std::string_view body) override;
  void begin_stream(std::optional<std::uint64_t> length) override;
  void write(std::string_view part) override;
  void finish() override;
  void abort() override;
  std::size_t buffered() const override { return out_.size() - out_sent_ + fixed_.size(); }

 private:
  friend class Http2Session;
  // Where a field's name and value stand in a text that may still move.
  struct Field {
    std::size_t at;
    std::size_t name_bytes;
    std::size_t value_bytes;
  };
  // Of the request, once it may be begun.
  enum class Turn : std::uint8_t { kNotYet, kWaits, kBegun, kAnswered };

  // What the session tells of the request.
  void on_field(std::string_view name, std::string_view value);
  void on_head(EndOfStream end);
  void on_data(std::string_view part);
  void on_end();
  // The answer has left. What is still to come of the request is taken and dropped for a while.
  void on_answer_left();
  void on_closed();
  // The answer cannot be sent.
  void give_up();
  // Hands the request to the service.
  void start();
  // The next part of the response's body, at most `to.size()` bytes.
  std::size_t take(std::span<std::uint8_t> to);
  bool has_left() const { return left_at_.has_value(); }
  bool is_answered() const { return answer_ == Answer::kFinished; }
  bool waits_for_client() const;
  void tell_drained();
  void tell_server_ends();
  void check_deadline(MonotonicTime now);
  MonotonicTime body_deadline() const;

  // Makes the request of the fields; the answer is what is wrong with it, or empty.
  std::string_view read_request();
  std::string_view read_field(const Header& field, std::string_view& authority);
  void refuse(unsigned status, const Error& error);
  void submit(EndOfStream end);
  // Asks the session for the request's turn.
  void come();
  // The answer has begun, or there will be none.
  void end_turn();
  void finish_whole(std::size_t body_bytes);

  Http2Session& session_;
  const std::int32_t id_;

  std::string head_;  // names and values of the request, viewed by request_
  std::vector<Field> fields_;
  std::string cookies_;  // RFC 9113 8.2.3: they may come in parts
  bool head_too_large_ = false;
  bool complete_ = false;  // the request has come as a whole
  Turn turn_ = Turn::kNotYet;
  bool aborted_ = false;  // by the service, not by the client
  std::uint64_t body_limit_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t dropped_bytes_ = 0;  // of them
  MonotonicTime arrived_;
  MonotonicTime progress_;                // last time that the client took bytes of the body
  std::optional<MonotonicTime> left_at_;  // when the answer had left

  std::string answer_head_;
  std::vector<Field> answer_fields_;
  bool deferred_ = false;  // the session waits to be told that there is more
  std::string out_;
  std::size_t out_sent_ = 0;
  std::string_view fixed_;   // a body that is not in out_
  std::size_t counted_ = 0;  // of out_: what the session counts as untaken
};

}  // namespace sterna::net
