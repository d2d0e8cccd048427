// HTTP/1.1: one client on one connection, one request after the other.
#pragma once

#include "net/http_connection.h"
#include "net/server_connection.h"

namespace sterna::net {

class Http1Connection final : public ServerConnection, public HttpConnection, private HttpParser::BodySink {
 public:
  Http1Connection(HttpServer& server, Transport transport, std::string client);
  ~Http1Connection() override;

  void begin(unsigned status) override;
  void header(std::string_view name, std::string_view value) override;
  void send(std::string_view body) override;
  void send_fixed(std::string_view body) override;
  // Chunked when the length is not known, until close for HTTP/1.0.
  void begin_stream(std::optional<std::uint64_t> length) override;
  void write(std::string_view part) override;
  void finish() override;
  void abort() override;
  std::size_t buffered() const override { return out_.size() - out_sent_ + fixed_.size(); }

  void on_event(std::uint32_t events) override;
  void on_turn_end() override;
  void check_deadline(MonotonicTime now) override;
  void drain() override;
  bool give_way() override;
  void close() override;

 private:
  // kDone: the request is complete; kDiscard: its body is read and dropped; kRefused: all that comes is
  // dropped.
  enum class Reading : std::uint8_t { kHead, kBody, kDone, kDiscard, kRefused };

  void read();
  bool is_full() const;
  bool is_answered() const;
  void go_on();
  void input(std::string_view data);
  std::size_t process(std::string_view data);
  std::size_t process_head(std::string_view data);
  std::size_t process_body(std::string_view data);
  bool next_request();
  void accept_body();
  void ask_for_body();
  void acknowledge();
  void pass_body_on();
  void on_whole_body();
  void stop_dropping();
  void on_body_part(std::string_view part) override;
  void refuse(unsigned status, const Error& error);
  std::string& out();
  void end_head_of_whole(std::size_t body_bytes);
  void finish_whole();
  void replace_date(std::string_view value);
  void end_head();
  bool write_out();
  void flush();
  void after_flush();
  void linger();
  void end_of_input();
  void peer_closed();
  MonotonicTime deadline() const;

  Reading reading_ = Reading::kHead;
  bool first_ = true;         // no request has come yet: the client may turn out to speak HTTP/2
  bool close_after_ = false;  // the connection ends with this response
  bool lingering_ = false;    // our side is shut, what still comes is dropped
  bool awaiting_body_ = false;
  bool half_closed_ = false;   // the client has shut its side and may still read
  bool reads_to_end_ = false;  // the kernel has told that the end is there, behind what waits
  bool read_paused_ = false;   // bytes may wait in the kernel: edge-triggered epoll will not tell again
  bool crowded_ = false;       // the next request waits for earlier answers to leave
  bool chunked_ = false;       // of the response

  HttpParser parser_;
  std::string head_;  // the request's head, viewed by request_
  std::string in_;    // what came and is not used yet
  std::size_t scanned_ = 0;
  std::uint64_t body_limit_ = 0;
  std::uint64_t body_bytes_ = 0;     // with the framing of what is dropped
  std::uint64_t dropped_bytes_ = 0;  // of them
  MonotonicTime arrived_;            // of the request's first byte, or since when the connection is idle
  MonotonicTime progress_;  // last time the client took bytes, or bytes began to wait; when it half-closed
  std::string out_;
  std::size_t out_sent_ = 0;
  std::string_view fixed_;     // a body that is not in out_, and leaves behind that
  std::size_t answer_at_ = 0;  // where in out_ the head of a response that is begun stands
};

}  // namespace sterna::net
