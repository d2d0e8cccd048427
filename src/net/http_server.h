// HTTP/1.1 over TCP: accepts connections and hands whole requests to a service. Everything on one loop.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/body.h"
#include "net/http_parser.h"
#include "net/loop.h"

namespace sterna::net {

class HttpConnection;
class HttpServer;

// What stands behind the server.
class HttpService {
 public:
  virtual ~HttpService() = default;
  // The head has arrived, no body byte was read. Answers how many body bytes are acceptable (413 above), or
  // begins a response at once, then the body is read and dropped.
  virtual std::uint64_t on_head(HttpConnection& connection) = 0;
  // The request is complete. A response may be given now or later.
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
};

struct HttpLimits {
  std::size_t max_header_bytes = 32U << 10;
  std::size_t max_connections = 10'000;
  Duration header_timeout = std::chrono::seconds(10);
  Duration body_timeout = std::chrono::seconds(60);  // and at least kMinBodyRate on average after it
  Duration keepalive = std::chrono::seconds(75);
  Duration write_stall = std::chrono::seconds(60);  // no byte of a response could be written for that long
};

inline constexpr std::size_t kLowWater = 64U << 10;
inline constexpr std::uint64_t kMinBodyRate = 500;  // bytes a second

// One client. A response is begun with `begin`, given headers, and ended with `send`, or streamed with
// `begin_stream`, `write`, `finish`.
class HttpConnection final : public EventHandler, public TurnEnd, private HttpParser::BodySink {
 public:
  HttpConnection(HttpServer& server, UniqueFd socket, std::string client);
  ~HttpConnection() override;

  const HttpRequest& request() const { return request_; }
  const Body& body() const { return body_; }
  // Hands the request's body over to who needs it for longer than the exchange.
  Body take_body() { return std::move(body_); }
  // The client's address without port, e.g. "127.0.0.1".
  std::string_view client() const { return client_; }

  // The service's own, null at first; stays for the connection's next requests.
  std::unique_ptr<RequestState>& state() { return state_; }

  void begin(unsigned status);
  // Names and values must be free of CR, LF and NUL; framing headers are the connection's own.
  void header(std::string_view name, std::string_view value);
  // Ends the response with a whole body and its Content-Length.
  void send(std::string_view body);
  // Ends the head; the body follows by `write`: chunked when its length is not known, until close for
  // HTTP/1.0.
  void begin_stream(std::optional<std::uint64_t> length);
  void write(std::string_view part);
  void finish();
  // Closes at once; for a response that cannot be completed.
  void abort();

  // Bytes written and not yet taken by the kernel.
  std::size_t buffered() const { return out_.size() - out_sent_; }
  void observe(ResponseObserver* observer) { observer_ = observer; }

  void on_event(std::uint32_t events) override;
  void on_turn_end() override;

 private:
  friend class HttpServer;
  // kDone: the request is complete; kDiscard: its body is read and dropped; kRefused: all that comes is
  // dropped.
  enum class Reading : std::uint8_t { kHead, kBody, kDone, kDiscard, kRefused };
  enum class Answer : std::uint8_t { kNone, kBegun, kStreaming, kFinished };

  void read(bool until_end);
  void input(std::string_view data);
  std::size_t process(std::string_view data);
  std::size_t process_head(std::string_view data);
  std::size_t process_body(std::string_view data);
  bool next_request();
  void accept_body();
  void ask_for_body();
  void on_body_part(std::string_view part) override;
  void refuse(unsigned status, const Error& error);
  bool is_head() const { return request_.method == "HEAD"; }
  void end_head();
  void flush();
  void after_flush();
  void linger();
  void end_of_input();
  void peer_closed();
  void close();
  void check_deadline(MonotonicTime now);
  MonotonicTime deadline() const;

  HttpServer& server_;
  UniqueFd socket_;
  const std::string client_;
  std::list<std::unique_ptr<HttpConnection>>::iterator place_;

  Reading reading_ = Reading::kHead;
  Answer answer_ = Answer::kNone;
  bool close_after_ = false;  // the connection ends with this response
  bool lingering_ = false;    // our side is shut, what still comes is dropped
  bool awaiting_body_ = false;
  bool half_closed_ = false;  // the client has shut its side and may still read
  bool read_paused_ = false;  // bytes may wait in the kernel: edge-triggered epoll will not tell again
  bool bodyless_ = false;     // the response has no body by its status
  bool chunked_ = false;      // of the response

  std::unique_ptr<RequestState> state_;
  HttpParser parser_;
  HttpRequest request_;
  Body body_;
  std::string head_;  // the request's head, viewed by request_
  std::string in_;    // what came and is not used yet
  std::size_t scanned_ = 0;
  std::uint64_t body_limit_ = 0;
  std::uint64_t body_bytes_ = 0;
  MonotonicTime arrived_;   // of the request's first byte, or since when the connection is idle
  MonotonicTime progress_;  // last time the client took bytes; when it half-closed; when lingering began
  std::string out_;
  std::size_t out_sent_ = 0;
  ResponseObserver* observer_ = nullptr;
};

class HttpServer final : private EventHandler {
 public:
  // Listens on host:port (port 0: any). Fails with io, reason `cannot_listen`.
  static Result<std::unique_ptr<HttpServer>> listen(Loop& loop, const std::string& host, std::uint16_t port,
                                                    HttpService& service, const HttpLimits& limits,
                                                    BodyBudget& budget);
  HttpServer(Loop& loop, UniqueFd socket, HttpService& service, const HttpLimits& limits, BodyBudget& budget);
  ~HttpServer() override;

  std::uint16_t port() const { return port_; }
  std::size_t connections() const { return connections_.size(); }
  std::uint64_t accepted() const { return accepted_; }

  // Serves a connected socket that does not block; `client` is the other side's address. What accepting does,
  // and tests without a network.
  void adopt(UniqueFd socket, std::string client);

  // Stops accepting and closes idle connections; those with a request in flight close after its answer.
  void drain();

 private:
  friend class HttpConnection;
  void on_event(std::uint32_t events) override;
  void accept_all();
  void sweep();
  // The end of a status line and the header Date.
  std::string_view date_line();
  // The most frequent status line, with the header Date.
  std::string_view ok_lines();
  void set_date();

  Loop& loop_;
  UniqueFd socket_;
  HttpService& service_;
  const HttpLimits limits_;
  BodyBudget& budget_;
  std::uint16_t port_ = 0;
  bool draining_ = false;
  std::uint64_t accepted_ = 0;
  Loop::TimerId sweep_timer_;
  std::list<std::unique_ptr<HttpConnection>> connections_;
  std::string ok_lines_;  // of date_second_
  std::chrono::seconds date_second_{};
};

}  // namespace sterna::net
