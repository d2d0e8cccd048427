// HTTP/2: one client on one connection, many requests at a time (RFC 9113). nghttp2 speaks the protocol; what
// is here joins it to the socket and to the streams, and limits what a client may make of it.
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http2_stream.h"
#include "net/server_connection.h"

namespace sterna::net {

class Http2Session final : public ServerConnection {
 public:
  Http2Session(HttpServer& server, Transport transport, std::string client);
  ~Http2Session() override;

  // The bytes that have come so far, beginning with the client's preface.
  void start(std::string_view bytes);

  void on_event(std::uint32_t events) override;
  void on_turn_end() override;
  void check_deadline(MonotonicTime now) override;
  void drain() override;
  bool give_way() override;
  void close() override;

 private:
  friend class Http2Stream;
  struct Callbacks;
  struct FreeSession {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  using SessionPtr = std::unique_ptr<nghttp2_session, FreeSession>;
  static SessionPtr make_session(Http2Session& self);
  struct Answers {
    std::size_t begun = 0;    // requests that have no answer yet
    std::size_t untaken = 0;  // bytes of answers given whole that are still here
  };

  // For streams.
  HttpServer& server() { return server_; }
  nghttp2_session* native() { return session_.get(); }
  bool is_tls() const { return transport_.is_tls(); }
  // Something is to be written for the stream, or its observer to be told that there is room.
  void touch(std::int32_t id);
  void reset(std::int32_t id, std::uint32_t error_code);
  Answers& answers(const Http2Stream& stream) { return stream.answers_at_length_ ? long_answers_ : answers_; }
  // The stream's request is to begin: it does at once, or when the client has taken enough of earlier
  // answers.
  void begin_or_wait(Http2Stream& stream);
  // The head of a response; unless it ends with that, the body is asked of the stream.
  void submit(std::int32_t id, std::span<const nghttp2_nv> head, EndOfStream end);

  Http2Stream* find(std::int32_t id);
  void open_stream(std::int32_t id);
  void close_stream(std::int32_t id);
  void count_reset();
  // A request's head has begun and is not complete.
  bool is_in_head() const { return head_since_ != MonotonicTime::max(); }
  bool has_room_for_field(std::size_t bytes);
  bool has_unread() const { return in_midst_ || transport_.has_unread(); }
  void read();
  void feed(std::string_view bytes);
  void flush();
  bool fill();
  void tell_drained();
  void begin_waiting();
  void end(std::uint32_t error_code);

  const std::string client_;
  SessionPtr session_;
  std::map<std::int32_t, std::unique_ptr<Http2Stream>> streams_;
  std::vector<std::unique_ptr<Http2Stream>> closed_;  // until the turn ends: they may be in use further up
  std::vector<std::int32_t> touched_;
  std::vector<std::int32_t> waiting_;  // their requests are to begin
  Answers answers_;
  Answers long_answers_;
  std::string out_;  // what nghttp2 wants to send, and the kernel has not taken
  std::size_t out_sent_ = 0;
  bool read_paused_ = false;
  bool in_midst_ = false;  // its share ended within a head: rest_ was read and is fed in the next turn
  std::string rest_;
  bool ending_ = false;       // a GOAWAY was sent: closes when the last stream has ended
  MonotonicTime idle_since_;  // without streams
  MonotonicTime progress_;    // last time that the kernel took bytes
  MonotonicTime head_since_ = MonotonicTime::max();  // a head has begun and is not complete
  std::size_t head_bytes_ = 0;                       // of that one, decoded, with what counts for each field
  std::size_t decoded_ = 0;                          // of all heads in this turn
  double resets_ = 0;  // streams that were not brought to an end, less what is forgiven with time
  MonotonicTime resets_at_;
};

}  // namespace sterna::net
