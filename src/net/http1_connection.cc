#include "net/http1_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "base/status_phrase.h"
#include "net/http_server.h"

namespace sterna::net {
namespace {

// Pipelined bytes kept while a request is in flight; answers beyond which the next request waits for the
// client.
constexpr std::size_t kMaxWaiting = 64U << 10;
constexpr std::size_t kKeptCapacity = 16U << 10;
constexpr Duration kHalfClosed = std::chrono::seconds(1);
// What an HTTP/2 client that knows or has agreed on it begins with (RFC 9113 3.4); no request of HTTP/1.1
// does.
constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

void shrink(std::string& text) {
  text.clear();
  if (text.capacity() > kKeptCapacity) text.shrink_to_fit();
}

void append_number(std::string& out, std::uint64_t number, int base = 10) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

}  // namespace

Http1Connection::Http1Connection(HttpServer& server, Transport transport, std::string client)
    : ServerConnection(server, std::move(transport)),
      HttpConnection(server.budget_, std::move(client)),
      parser_(server.limits_.max_header_bytes),
      arrived_(server.loop_.now()),
      progress_(arrived_) {}

Http1Connection::~Http1Connection() = default;

// --- reading ---

void Http1Connection::on_event(std::uint32_t events) {
  if (!transport_) return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return peer_closed();
  if ((events & EPOLLRDHUP) != 0) reads_to_end_ = true;
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) {
    if (is_answered() && buffered() <= kMaxWaiting) go_on();
    read();
  }
  if (!transport_ || (events & EPOLLOUT) == 0) return;
  if (buffered() > 0) flush();
  if (transport_ && transport_.in_handshake()) read();  // its own bytes may have waited for room
}

// A short read means that the kernel has no more; only a hang-up needs the read that answers 0. TLS reads
// record by record. Who sends without end is read from in turn with the others.
void Http1Connection::read() {
  auto& scratch = server_.loop_.scratch();
  for (std::size_t taken = 0; transport_;) {
    if (is_full()) {
      read_paused_ = true;
      return;
    }
    if (taken >= kReadShare) return server_.loop_.tell_again(*this, EPOLLIN);
    const ssize_t got = transport_.read(scratch.data(), scratch.size());
    if (got > 0) {
      taken += static_cast<std::size_t>(got);
      input({scratch.data(), static_cast<std::size_t>(got)});
      if (static_cast<std::size_t>(got) < scratch.size() && !reads_to_end_ && !transport_.is_tls()) return;
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got < 0 && errno == EAGAIN) {
      return;
    } else {
      return got == 0 ? end_of_input() : peer_closed();
    }
  }
}

// Its requests come faster than they are answered, or than their answers are taken.
bool Http1Connection::is_full() const {
  return reading_ == Reading::kDone && in_.size() >= kMaxWaiting;
}

// A client that has gone and one that only has nothing more to say look the same. The answers to what it
// asked are given if they begin soon; a run that takes longer is not worth keeping for somebody who is most
// likely gone. Once one has begun, who has gone answers bytes with a reset, and one who is there may take its
// time like every other.
void Http1Connection::end_of_input() {
  const bool answers_wait = buffered() > 0 && (answer_ == Answer::kNone || answer_ == Answer::kFinished);
  if (lingering_ || (reading_ != Reading::kDone && !answers_wait)) return peer_closed();
  half_closed_ = true;
  if (in_.empty()) close_after_ = true;
  progress_ = server_.loop_.now();
}

void Http1Connection::input(std::string_view data) {
  if (lingering_) return;
  if (in_.empty()) {
    const std::size_t used = process(data);
    if (transport_ && used < data.size()) in_.assign(data.substr(used));
    return;
  }
  in_.append(data);
  const std::size_t used = process(in_);
  if (transport_) in_.erase(0, used);
}

// Answers how many bytes are used up. Re-entered never: a response given inside only changes the state.
std::size_t Http1Connection::process(std::string_view data) {
  std::size_t used = 0;
  while (transport_ && !lingering_) {
    const std::string_view rest = data.substr(used);
    if (reading_ == Reading::kDone) {
      if (!next_request()) break;
      continue;
    }
    if (reading_ == Reading::kRefused) return data.size();
    if (rest.empty()) break;
    const std::size_t step = reading_ == Reading::kHead ? process_head(rest) : process_body(rest);
    used += step;
    if (step == 0) break;
  }
  if (transport_ && reading_ == Reading::kBody) {
    if (!awaiting_body_) ask_for_body();
    pass_body_on();
  }
  return lingering_ ? data.size() : used;
}

std::size_t Http1Connection::process_head(std::string_view data) {
  std::size_t blank = 0;  // RFC 9112 2.2: empty lines before a request line are skipped
  while (scanned_ == 0 && data.substr(blank).starts_with("\r\n")) blank += 2;
  if (blank > 0) return blank;
  if (scanned_ == 0 && data == "\r") return 0;
  if (in_.empty()) arrived_ = server_.loop_.now();
  if (first_ && kHttp2Preface.substr(0, data.size()) == data.substr(0, kHttp2Preface.size())) {
    if (data.size() >= kHttp2Preface.size()) hand_over_to_http2(client_, data);
    return transport_ ? 0 : data.size();
  }

  const auto length = find_head(data, scanned_);
  if (!length) {
    refuse(400, length.error());
    return data.size();
  }
  const std::size_t limit = server_.limits_.max_header_bytes;
  if (*length > limit || (*length == 0 && data.size() > limit)) {
    const bool in_first_line = data.substr(0, limit).find('\n') == std::string_view::npos;
    refuse(in_first_line ? 414 : 431,
           head_too_large(in_first_line ? "uri_too_long" : "headers_too_large", limit));
    return data.size();
  }
  if (*length == 0) return 0;

  scanned_ = 0;
  first_ = false;
  head_.assign(data.substr(0, *length));
  if (const auto parsed = parser_.parse_head(head_, request_); !parsed) {
    refuse(parsed.error().reason == "expectation_failed" ? 417 : 400, parsed.error());
    return data.size();
  }
  request_.scheme = transport_.is_tls() ? "https" : "http";
  if (!request_.keep_alive || server_.draining_) close_after_ = true;
  accept_body();
  return *length;
}

// Asks the service what to do with the body that follows the head.
void Http1Connection::accept_body() {
  body_bytes_ = dropped_bytes_ = 0;
  awaiting_body_ = begins_early_ = false;
  body_is_whole_ = parser_.complete();
  reading_ = Reading::kBody;
  // Whose answer comes before the body that it asked about need not send that (RFC 9110 10.1.1): what follows
  // may be that or the next request. The answer says so, if it is given at once.
  const bool closes = close_after_;
  if (request_.expects_continue && !parser_.complete()) close_after_ = true;
  body_limit_ = server_.service_.on_head(*this);
  if (!transport_) return;
  if (answer_ != Answer::kNone) {
    reading_ = parser_.complete() ? Reading::kDone : Reading::kDiscard;
    return;
  }
  close_after_ = closes;
  if (request_.content_length.value_or(0) > body_limit_) {
    return refuse(413, body_too_large(body_limit_));
  }
  if (parser_.complete()) {
    reading_ = Reading::kDone;
    return server_.service_.on_request(*this);
  }
}

// The body has not come with the head.
void Http1Connection::ask_for_body() {
  awaiting_body_ = true;
  if (request_.expects_continue && body_bytes_ == 0) {
    out() += "HTTP/1.1 100 Continue\r\n\r\n";
    server_.loop_.at_turn_end(*this);
  }
  acknowledge();
}

// Many clients send head and body apart, and hold the body back until the head is acknowledged (Nagle): do
// not let the kernel delay that by 40 ms. So it is with the parts of a body.
void Http1Connection::acknowledge() {
  const int on = 1;
  ::setsockopt(transport_.fd(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

// All that one read has brought of a body whose request is begun early.
void Http1Connection::pass_body_on() {
  if (std::exchange(begins_early_, false)) return server_.service_.on_request(*this);
  if (body_observer_ == nullptr) return;
  acknowledge();
  body_observer_->on_body();
}

void Http1Connection::on_whole_body() {
  body_is_whole_ = true;
  if (BodyObserver* observer = std::exchange(body_observer_, nullptr)) return observer->on_body();
  server_.service_.on_request(*this);
}

std::size_t Http1Connection::process_body(std::string_view data) {
  const bool dropped = !wants_body();
  const auto used = parser_.parse_body(data, *this);
  if (!transport_ || reading_ == Reading::kRefused) return data.size();
  if (!used) {
    refuse(400, used.error());
    return data.size();
  }
  if (dropped) {
    body_bytes_ += *used;
    dropped_bytes_ += *used;
  }
  if (!parser_.complete()) {
    if (dropped_bytes_ > kMaxDropped) stop_dropping();
    return *used;
  }
  const bool wanted = reading_ == Reading::kBody && wants_body();
  reading_ = Reading::kDone;
  if (wanted) on_whole_body();
  return *used;
}

// The connection ends with the answer, which may have left.
void Http1Connection::stop_dropping() {
  if (std::exchange(close_after_, true)) return;
  server_.loop_.at_turn_end(*this);
}

void Http1Connection::on_body_part(std::string_view part) {
  if (!wants_body()) return;  // it is dropped
  body_bytes_ += part.size();
  if (body_bytes_ > body_limit_) {
    return refuse(413, body_too_large(body_limit_));
  }
  if (const auto kept = body_.append(part); !kept) refuse(503, kept.error());
}

// Makes ready for the next request; false when the present one is not through, or the client does not take
// its answers.
bool Http1Connection::next_request() {
  if (answer_ != Answer::kFinished || close_after_) return false;
  crowded_ = buffered() > kMaxWaiting;
  if (crowded_) return false;
  reading_ = Reading::kHead;
  answer_ = Answer::kNone;
  arrived_ = server_.loop_.now();
  body_.clear();
  added_.clear();
  request_.clear();
  shrink(head_);
  return true;
}

void Http1Connection::refuse(unsigned status, const Error& error) {
  close_after_ = true;
  if (BodyObserver* observer = std::exchange(body_observer_, nullptr);
      observer != nullptr && answer_ == Answer::kNone) {
    observer->on_body_refused(status, error);
  } else if (answer_ == Answer::kNone) {
    server_.service_.on_refused(*this, status, error);
  } else if (answer_ != Answer::kFinished) {
    return close();
  } else {
    server_.loop_.at_turn_end(*this);  // its answer may have left: nothing else would end the connection
  }
  reading_ = Reading::kRefused;
}

// --- writing ---

// For what leaves behind all that waits: no more of a fixed body does then than next_request lets wait.
std::string& Http1Connection::out() {
  return out_ += std::exchange(fixed_, {});
}

void Http1Connection::begin(unsigned status) {
  STERNA_ASSERT(answer_ == Answer::kNone);
  answer_ = Answer::kBegun;
  answer_at_ = out().size();
  bodyless_ = is_bodyless(status);
  if (status == 200) {
    out_ += server_.ok_lines();
  } else {
    out_ += "HTTP/1.1 ";
    append_number(out_, status);
    out_ += ' ';
    out_ += status_phrase(status);
    out_ += server_.date_line();
  }
  write_added(status);
}

void Http1Connection::header(std::string_view name, std::string_view value) {
  if (is_date(name)) return replace_date(value);
  constexpr std::size_t kBetween = 4;  // ": " and CR LF
  const std::size_t at = out_.size();
  const std::size_t size = at + name.size() + value.size() + kBetween;
  // libstdc++ 12 names the new capacity as the size: it is not to be taken from there.
  out_.resize_and_overwrite(size, [&](char* data, std::size_t) {
    char* to = data + at;
    to += name.copy(to, name.size());
    *to++ = ':';
    *to++ = ' ';
    to += value.copy(to, value.size());
    *to++ = '\r';
    *to = '\n';
    return size;
  });
}

void Http1Connection::replace_date(std::string_view value) {
  constexpr std::string_view kBefore = "\r\nDate: ";
  const std::size_t at = out_.find(kBefore, answer_at_) + kBefore.size();
  out_.replace(at, out_.find('\r', at) - at, value);
}

void Http1Connection::end_head() {
  if (close_after_) {
    out_ += "Connection: close\r\n";
  } else if (request_.minor_version == 0) {
    out_ += "Connection: keep-alive\r\n";
  }
  out_ += "\r\n";
}

void Http1Connection::send(std::string_view body) {
  end_head_of_whole(body.size());
  if (!bodyless_ && !is_head()) out_ += body;
  finish_whole();
}

void Http1Connection::send_fixed(std::string_view body) {
  end_head_of_whole(body.size());
  if (!bodyless_ && !is_head()) fixed_ = body;
  finish_whole();
}

void Http1Connection::end_head_of_whole(std::size_t body_bytes) {
  STERNA_ASSERT(answer_ == Answer::kBegun);
  if (!bodyless_) {
    out_ += "Content-Length: ";
    append_number(out_, body_bytes);
    out_ += "\r\n";
  }
  end_head();
}

void Http1Connection::finish_whole() {
  answer_ = Answer::kStreaming;
  chunked_ = false;
  left_.reset();
  finish();
}

void Http1Connection::begin_stream(std::optional<std::uint64_t> length) {
  STERNA_ASSERT(answer_ == Answer::kBegun);
  announce(length);
  chunked_ = false;
  if (!bodyless_ && length) {
    out_ += "Content-Length: ";
    append_number(out_, *length);
    out_ += "\r\n";
  } else if (!bodyless_ && request_.minor_version == 0) {
    close_after_ = true;
  } else if (!bodyless_) {
    chunked_ = true;
    out_ += "Transfer-Encoding: chunked\r\n";
  }
  end_head();
  answer_ = Answer::kStreaming;
  progress_ = server_.loop_.now();
  server_.loop_.at_turn_end(*this);
}

void Http1Connection::write(std::string_view part) {
  STERNA_ASSERT(answer_ == Answer::kStreaming);
  if (part.empty() || bodyless_ || is_head()) return;
  count_written(part.size());
  if (buffered() == 0) progress_ = server_.loop_.now();
  if (chunked_) {
    append_number(out_, part.size(), 16);
    out_ += "\r\n";
  }
  out_ += part;
  if (chunked_) out_ += "\r\n";
  server_.loop_.at_turn_end(*this);
}

void Http1Connection::finish() {
  STERNA_ASSERT(answer_ == Answer::kStreaming);
  check_whole();
  if (chunked_ && !is_head()) out_ += "0\r\n\r\n";
  answer_ = Answer::kFinished;
  forget_observers();
  if (out_sent_ == 0) progress_ = server_.loop_.now();
  server_.loop_.at_turn_end(*this);
}

// What was written leaves as far as the kernel takes it at once, so that the client sees how far its answer
// came, and by the end that is missing that it is not whole. Of a head that has no end nothing leaves:
// clients take it for an answer.
void Http1Connection::abort() {
  forget_observers();
  if (!transport_) return;
  if (answer_ == Answer::kBegun) out_.resize(std::min(out_.size(), answer_at_));
  write_out();
  close();
}

void Http1Connection::on_turn_end() {
  if (!transport_) return;
  flush();
}

// As much as the kernel takes. False: the client takes nothing more.
bool Http1Connection::write_out() {
  while (buffered() > 0) {
    const bool is_fixed = out_sent_ == out_.size();
    const std::string_view next = is_fixed ? fixed_ : std::string_view(out_).substr(out_sent_);
    const ssize_t sent = transport_.write(next.data(), next.size());
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    if (is_fixed) {
      fixed_.remove_prefix(static_cast<std::size_t>(sent));
    } else {
      out_sent_ += static_cast<std::size_t>(sent);
    }
    progress_ = server_.loop_.now();
  }
  return true;
}

void Http1Connection::flush() {
  if (!write_out()) return peer_closed();
  if (buffered() == 0) {
    shrink(out_);
    out_sent_ = 0;
  } else if (out_sent_ > (256U << 10)) {
    out_.erase(0, out_sent_);
    out_sent_ = 0;
  }
  after_flush();
}

// The request is through, and the next one may come.
bool Http1Connection::is_answered() const {
  return answer_ == Answer::kFinished && reading_ == Reading::kDone && !close_after_;
}

// Goes on with what waited for the response to leave.
void Http1Connection::after_flush() {
  if (answer_ == Answer::kStreaming && observer_ != nullptr && buffered() <= kLowWater)
    observer_->on_drained();
  if (!transport_) return;
  if (is_answered() && buffered() <= kMaxWaiting) {
    // A long pipeline that is answered at once gets its share of each turn.
    if (crowded_) return server_.loop_.tell_again(*this, EPOLLIN);
    go_on();
    if (!transport_) return;
  }
  if (buffered() > 0) return;
  if (answer_ == Answer::kFinished && close_after_) return linger();
  // Of a client that has shut its side no whole request is left, or the server drains.
  const bool is_idle = reading_ == Reading::kHead && in_.empty();
  if (half_closed_ ? reading_ != Reading::kDone && answer_ != Answer::kStreaming : close_after_ && is_idle)
    close();
}

// Turns to the next request, which may have come already.
void Http1Connection::go_on() {
  if (in_.empty()) {
    next_request();
  } else {
    const std::string waiting = std::exchange(in_, {});
    const std::size_t used = process(waiting);
    if (!transport_) return;
    in_ = waiting.substr(used);
  }
  if (read_paused_ && !is_full()) {
    read_paused_ = false;
    server_.loop_.tell_again(*this, EPOLLIN);
  }
}

// --- ending ---

// Shuts our side and drops what still comes, so that the kernel does not answer it with a reset that
// would take the response from the client (RFC 9112 9.6).
void Http1Connection::linger() {
  if (std::exchange(lingering_, true)) return;
  progress_ = server_.loop_.now();
  transport_.shut_down();
  shrink(in_);
  if (half_closed_ || reading_ == Reading::kDone || reading_ == Reading::kHead) close();
}

void Http1Connection::peer_closed() {
  tell_gone();
  close();
}

void Http1Connection::close() {
  if (!transport_) return;
  tell_gone();
  leave();
}

void Http1Connection::drain() {
  close_after_ = true;
  if (observer_ != nullptr) observer_->on_server_ends();
  if (!transport_ || buffered() > 0) return;
  if (answer_ == Answer::kFinished) return linger();
  if (reading_ == Reading::kHead && !transport_.has_unread()) close();
}

bool Http1Connection::give_way() {
  const bool is_whole = reading_ == Reading::kDone || reading_ == Reading::kRefused;
  if (!lingering_ &&
      !waits_for_client(is_whole ? Came::kWhole : Came::kInPart, progress_, server_.loop_.now()))
    return false;
  const bool is_listened_to = !lingering_ && buffered() == 0;
  if (is_listened_to && transport_.has_unread()) return false;  // it has asked, and we have not listened yet
  peer_closed();
  return true;
}

MonotonicTime Http1Connection::deadline() const {
  const HttpLimits& limits = server_.limits_;
  if (lingering_) return progress_ + server_.patience(kLinger);
  if (buffered() > 0) return progress_ + limits.write_stall;
  if (half_closed_) {
    const bool may_read_on = answer_ == Answer::kStreaming && !server_.draining_;
    return progress_ + (may_read_on ? limits.write_stall : kHalfClosed);
  }
  switch (reading_) {
    case Reading::kHead:
      return arrived_ +
             (in_.empty() && !transport_.in_handshake() ? limits.keepalive : limits.header_timeout);
    case Reading::kBody:
    case Reading::kDiscard:
      return server_.draining_ && body_observer_ == nullptr
                 ? server_.draining_since_ + kDrainPatience
                 : arrived_ + limits.body_timeout + std::chrono::seconds(body_bytes_ / kMinBodyRate);
    case Reading::kDone:
    case Reading::kRefused:
      break;
  }
  return MonotonicTime::max();  // the function has its own deadline
}

void Http1Connection::check_deadline(MonotonicTime now) {
  if (!transport_ || now < deadline()) return;
  if (half_closed_) return peer_closed();
  if (transport_.in_handshake()) return close();
  const bool waits_for_client = (reading_ == Reading::kHead && !in_.empty()) || reading_ == Reading::kBody;
  if (lingering_ || buffered() > 0 || !waits_for_client || answer_ != Answer::kNone) return peer_closed();
  if (server_.draining_ && body_observer_ == nullptr) return refuse(503, server_ends());
  refuse(408, request_timeout(reading_ == Reading::kHead ? "the request head did not arrive in time"
                                                         : "the request body did not arrive in time"));
}

}  // namespace sterna::net
