// What a service sees of one client, whatever version of HTTP that client speaks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "net/body.h"
#include "net/http_parser.h"
#include "net/http_text.h"

namespace sterna::net {

class HttpConnection;

// What stands behind the server.
class HttpService {
 public:
  virtual ~HttpService() = default;
  // The head has arrived, no body byte was read. Answers how many body bytes are acceptable (413 above), or
  // begins a response at once, then the body is read and dropped.
  virtual std::uint64_t on_head(HttpConnection& connection) = 0;
  // The request is complete, or it was to be begun early: then its body comes on, as is told to who observes
  // it. A response may be given now or later.
  virtual void on_request(HttpConnection& connection) = 0;
  // The server itself refuses the request (malformed, too large, too slow): fills the response, then the
  // connection closes.
  virtual void on_refused(HttpConnection& connection, unsigned status, const Error& error) = 0;
};

// What the service finds out about a request in on_head and wants to know again in on_request.
class RequestState {
 public:
  virtual ~RequestState() = default;
};

// Told about the fate of a response that is given later. Must detach itself before it goes away.
class ResponseObserver {
 public:
  virtual ~ResponseObserver() = default;
  // The client is gone: the connection must not be used any more.
  virtual void on_client_gone() = 0;
  // What was written has left, down to kLowWater.
  virtual void on_drained() = 0;
  // The server ends when all exchanges have: one that waits for what need not come is brought to its end, one
  // in which something runs goes on. Told again every half a second, as long as the exchange lasts.
  virtual void on_server_ends() {}
};

// Told what becomes of the body of a request that was begun early, until the response is finished. Must
// detach itself before it goes away.
class BodyObserver {
 public:
  virtual ~BodyObserver() = default;
  // More of the body has come, or its end: HttpConnection::body, body_is_whole.
  virtual void on_body() = 0;
  // The server takes no more of it (malformed, too large, too slow), and the response has not begun: the
  // observer gives it at once. It is not told of anything more.
  virtual void on_body_refused(unsigned status, const Error& error) = 0;
};

inline constexpr std::size_t kLowWater = 64U << 10;
inline constexpr std::uint64_t kMinBodyRate = 500;  // bytes a second
inline constexpr std::uint64_t kMaxDropped =
    8U << 20;  // of a body that nobody wants, before the exchange is ended
// How long what a client still sends is taken and dropped when it has its answer: clients that are cut off
// while they send do not read it.
inline constexpr Duration kLinger = std::chrono::seconds(3);
// A client that has taken nothing of what waits for it for that long keeps the server waiting.
inline constexpr Duration kUnread = std::chrono::seconds(5);
// How long a server that ends waits for what clients still send.
inline constexpr Duration kDrainPatience = std::chrono::seconds(1);

// One request of one client at a time, and its response: an HTTP/1.1 connection, or one stream of an HTTP/2
// session. A response is begun with `begin`, given headers, and ended with `send`, or streamed with
// `begin_stream`, `write`, `finish`.
class HttpConnection {
 public:
  virtual ~HttpConnection() = default;
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  const HttpRequest& request() const { return request_; }
  const Body& body() const { return body_; }
  // Otherwise more of it is to come.
  bool body_is_whole() const { return body_is_whole_; }
  // For on_head: on_request is to be called when the body may be asked for, not when it is whole.
  void begin_early() { begins_early_ = true; }
  // For on_head: the answer is given whole by `send`, and may be large. Of such requests a client that has
  // many at a time gets a few begun, and no more before it has taken the earlier answers.
  void answers_at_length() { answers_at_length_ = true; }
  // Hands the request's body over to who needs it for longer than the exchange.
  Body take_body() { return std::move(body_); }
  // The client's address without port, e.g. "127.0.0.1".
  std::string_view client() const { return client_; }

  // The service's own, null at first; stays for the connection's next requests.
  std::unique_ptr<RequestState>& state() { return state_; }

  // One more header of the answer to this request, whoever gives it. Before that is begun.
  void add_to_answer(std::string_view name, std::string_view value) { added_.emplace_back(name, value); }
  bool adds_to_answer() const { return !added_.empty(); }

  virtual void begin(unsigned status) = 0;
  // Names and values must be free of CR, LF and NUL; framing headers are the connection's own.
  virtual void header(std::string_view name, std::string_view value) = 0;
  // Ends the response with a whole body and its Content-Length.
  virtual void send(std::string_view body) = 0;
  // The same of a body that lives as long as the program: it need not be copied.
  virtual void send_fixed(std::string_view body) = 0;
  // Ends the head; the body follows by `write`: exactly `length` bytes, where it is given.
  virtual void begin_stream(std::optional<std::uint64_t> length) = 0;
  virtual void write(std::string_view part) = 0;
  virtual void finish() = 0;
  // Ends the exchange at once; for a response that cannot be completed.
  virtual void abort() = 0;

  // Bytes written that have not left yet.
  virtual std::size_t buffered() const = 0;
  void observe(ResponseObserver* observer) { observer_ = observer; }
  // For a request whose body is not whole yet.
  void observe_body(BodyObserver* observer) { body_observer_ = observer; }

 protected:
  static constexpr unsigned kResetContent = 205;
  enum class Answer : std::uint8_t { kNone, kBegun, kStreaming, kFinished };

  HttpConnection(BodyBudget& budget, std::string client) : client_(std::move(client)), body_(budget) {}
  bool is_head() const { return request_.method == "HEAD"; }
  // The one header that the connection makes and who answers may make, too: then theirs stands alone.
  static bool is_date(std::string_view name) { return name.size() == 4 && equal_ignoring_case(name, "date"); }
  static bool is_bodyless(unsigned status) {
    return status < 200 || status == 204 || status == kResetContent || status == 304;
  }
  // Of a response that has just been begun.
  void write_added(unsigned status) {
    if (status == kResetContent)
      header("Content-Length", "0");  // it has a body, an empty one (RFC 9110 15.3.6)
    for (const auto& [name, value] : added_) header(name, value);
  }
  enum class Came : std::uint8_t { kInPart, kWhole };
  // Whether the exchange waits for its client, and not the other way round: for the rest of its request, or
  // for the client to read, of which it has seen nothing since `progress`.
  bool waits_for_client(Came request, MonotonicTime progress, MonotonicTime now) const {
    if (buffered() > 0) return now >= progress + kUnread;
    return request == Came::kInPart && (answer_ == Answer::kNone || answer_ == Answer::kFinished);
  }
  // Whether what comes of the body is kept: until the request is answered, or longer for who observes it.
  bool wants_body() const { return answer_ == Answer::kNone || body_observer_ != nullptr; }
  // Of a stream whose length was announced: what is more, or less, would stand in the place of the next
  // answer.
  void announce(std::optional<std::uint64_t> length) {
    left_ = bodyless_ || is_head() ? std::nullopt : length;
  }
  void count_written(std::size_t bytes) {
    if (!left_) return;
    STERNA_ASSERT(bytes <= *left_);
    *left_ -= bytes;
  }
  void check_whole() const { STERNA_ASSERT(left_.value_or(0) == 0); }
  void forget_observers() {
    observer_ = nullptr;
    body_observer_ = nullptr;
  }
  // The observer is told that the client is gone, and forgotten.
  void tell_gone() {
    body_observer_ = nullptr;
    if (ResponseObserver* observer = std::exchange(observer_, nullptr)) observer->on_client_gone();
  }

  const std::string client_;
  Answer answer_ = Answer::kNone;
  std::unique_ptr<RequestState> state_;
  HttpRequest request_;
  Body body_;
  bool begins_early_ = false;  // the service wants it so, and has not got the request yet
  bool body_is_whole_ = false;
  bool answers_at_length_ = false;
  bool bodyless_ = false;              // the response has no body, by its status
  std::optional<std::uint64_t> left_;  // bytes of a stream that were announced and not written
  ResponseObserver* observer_ = nullptr;
  BodyObserver* body_observer_ = nullptr;                   // only of a body that is not whole
  std::vector<std::pair<std::string, std::string>> added_;  // by add_to_answer
};

// The reasons that both versions refuse a request for.
Error body_too_large(std::uint64_t limit);
Error head_too_large(std::string reason, std::size_t limit);
Error request_timeout(std::string detail);
// Of a request that has not come as a whole.
Error server_ends();

}  // namespace sterna::net
