#include "native/http/http_run.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "native/http/request_text.h"
#include "native/quick_ack.h"

namespace sterna::native {
namespace {

constexpr Duration kEndGrace = std::chrono::milliseconds(50);
constexpr std::size_t kMaxChunk = 64U << 10;
constexpr std::uint32_t kMaxStatus = 599;  // of wire/PROTOCOL.md

// RFC 9110 9.2.2
bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "PUT" || method == "DELETE";
}

std::optional<std::uint64_t> body_bytes(const Exchange& exchange) {
  return exchange.body_came_in_parts() ? exchange.announced_length() : exchange.body().size();
}

}  // namespace

HttpRun::HttpRun(Exchange& exchange, Upstream& upstream)
    : exchange_(exchange),
      upstream_(upstream),
      chunked_(!body_bytes(exchange)),
      text_(request_head(exchange.request(), body_bytes(exchange))) {}

HttpRun::~HttpRun() {
  upstream_.loop().cancel(end_timer_);
}

void HttpRun::begin(Upstream::Which which) {
  auto connection = upstream_.take(*this, which);
  if (!connection) return end_badly(connection.error().detail);
  connection_ = std::move(*connection);
  text_sent_ = body_sent_ = 0;
  if (connection_->used()) send_request();  // a new one tells when it is connected
}

void HttpRun::on_socket(std::uint32_t events) {
  if (!connection_ || exchange_.ended()) return;
  if ((events & EPOLLOUT) != 0) send_request();
  if (connection_ && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) read_response();
}

void HttpRun::on_body() {
  if (connection_ && !exchange_.ended()) send_request();
}

// What is there of the request, as far as the server takes it.
void HttpRun::send_request() {
  while (true) {
    if (text_sent_ == text_.size() && chunked_ && !frame_chunk()) return;
    const std::string_view text = std::string_view(text_).substr(text_sent_);
    const std::string_view body = chunked_ ? std::string_view() : exchange_.body().substr(body_sent_);
    if (text.empty() && body.empty()) return;
    iovec parts[2] = {{const_cast<char*>(text.data()), text.size()},
                      {const_cast<char*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t sent = ::sendmsg(connection_->fd(), &message, MSG_NOSIGNAL);
    if (sent >= 0) {
      note_sent(static_cast<std::size_t>(sent));
    } else if (errno != EINTR) {
      return;  // full, or broken: reading tells, and an answer may be there already
    }
  }
}

void HttpRun::note_sent(std::size_t bytes) {
  const std::size_t of_text = std::min(bytes, text_.size() - text_sent_);
  text_sent_ += of_text;
  const std::size_t of_body = bytes - of_text;
  if (!exchange_.body_came_in_parts()) {
    body_sent_ += of_body;
  } else if (of_body > 0) {
    is_spent_ = true;
    exchange_.take_body(of_body);
  }
}

// Makes the next chunk of what is there; false: nothing is.
bool HttpRun::frame_chunk() {
  const std::string_view part = exchange_.body().substr(0, kMaxChunk);
  if (chunks_ended_ || (part.empty() && !exchange_.body_is_whole())) return false;
  is_spent_ = true;
  chunks_ended_ = part.empty();
  text_ = fmt::format("{:x}\r\n{}\r\n", part.size(), part);
  text_sent_ = 0;
  exchange_.take_body(part.size());
  return true;
}

bool HttpRun::all_sent() const {
  if (text_sent_ < text_.size()) return false;
  if (chunked_) return chunks_ended_;
  return exchange_.body_is_whole() && exchange_.body().size() == body_sent_;
}

void HttpRun::read_response() {
  auto& scratch = upstream_.loop().scratch();
  while (connection_ && !exchange_.ended()) {
    // Not more bytes than may be sent on: the body is never longer than what was read.
    const std::uint64_t room = std::min<std::uint64_t>(exchange_.window(), scratch.size());
    if (room == 0) return;
    const ssize_t got = ::recv(connection_->fd(), scratch.data(), room, 0);
    if (got > 0) {
      take({scratch.data(), static_cast<std::size_t>(got)});
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return server_closed();
    } else if (errno == EAGAIN) {
      if (!parser_.empty()) acknowledge(connection_->fd());
      return;
    }
  }
}

void HttpRun::take(std::string_view bytes) {
  const Status fed = parser_.feed(bytes);
  if (!fed) return end_badly("the function's server does not answer in HTTP/1.1: " + fed.error().detail);
  if (!parser_.head_complete()) return;
  if (parser_.status() > kMaxStatus || parser_.headers().size() > wire::kMaxHeaderBytes) {
    return end_badly(
        "the function's server answers with a status beyond 599 or with more than 64 KiB of headers");
  }
  send_answer();
}

void HttpRun::send_answer() {
  const std::string body = parser_.take_body();
  const bool done = parser_.done();
  const wire::More more = done ? wire::More::kNo : wire::More::kYes;
  if (done) end_well();
  if (exchange_.answered()) {
    if (done || !body.empty()) exchange_.part(body, more);
    return;
  }
  const auto known = done ? std::optional<std::uint64_t>(body.size()) : parser_.content_length();
  exchange_.respond(parser_.status(), parser_.header_count(), parser_.headers(),
                    known.value_or(wire::kUnknownLength), body, more);
}

void HttpRun::server_closed() {
  if (parser_.empty() && may_be_sent_again()) {
    upstream_.loop().dispose(std::move(connection_));
    return begin(Upstream::Which::kNew);
  }
  if (!parser_.empty() && parser_.end()) return send_answer();
  // Mostly because the process ends, which tells more: its end is heard of in a moment.
  const char* const when = parser_.empty() ? "without an answer" : "in the middle of its answer";
  upstream_.loop().dispose(std::move(connection_));
  end_timer_ = upstream_.loop().after(kEndGrace, [this, when] {
    end_badly(std::string("the function's server closed the connection ") + when);
  });
}

// A connection that was kept open may be closed by the server while the request is on its way to it.
bool HttpRun::may_be_sent_again() const {
  return connection_->used() && !is_spent_ && is_idempotent(exchange_.request().method);
}

// The connection can carry another call when both sides have said all of this one.
void HttpRun::end_well() {
  const bool reusable = parser_.keep_alive() && all_sent();
  if (reusable) {
    upstream_.put_back(std::move(connection_));
  } else {
    upstream_.loop().dispose(std::move(connection_));
  }
}

void HttpRun::end_badly(const std::string& why) {
  if (connection_) upstream_.loop().dispose(std::move(connection_));
  exchange_.note(why);
  exchange_.fail(wire::FailKind::kBadResponse, why);
}

void HttpRun::cancel() {
  upstream_.loop().cancel(end_timer_);  // which may be due in this very turn
  if (connection_) upstream_.loop().dispose(std::move(connection_));
  exchange_.fail(wire::FailKind::kCancelled, "cancelled");
}

}  // namespace sterna::native
