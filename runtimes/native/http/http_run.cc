#include "native/http/http_run.h"

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
constexpr std::uint32_t kMaxStatus = 599;  // of wire/PROTOCOL.md

// RFC 9110 9.2.2
bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "PUT" || method == "DELETE";
}

}  // namespace

HttpRun::HttpRun(Exchange& exchange, Upstream& upstream)
    : exchange_(exchange),
      upstream_(upstream),
      head_(request_head(exchange.request(), exchange.body().size())) {}

HttpRun::~HttpRun() {
  upstream_.loop().cancel(end_timer_);
}

void HttpRun::begin(Upstream::Which which) {
  auto connection = upstream_.take(*this, which);
  if (!connection) return end_badly(connection.error().detail);
  connection_ = std::move(*connection);
  sent_ = 0;
  if (connection_->used()) send_request();  // a new one tells when it is connected
}

void HttpRun::on_socket(std::uint32_t events) {
  if (!connection_ || exchange_.ended()) return;
  if ((events & EPOLLOUT) != 0) send_request();
  if (connection_ && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) read_response();
}

void HttpRun::send_request() {
  const std::string_view body = exchange_.body();
  while (sent_ < head_.size() + body.size()) {
    const std::size_t of_head = std::min(sent_, head_.size());
    const std::size_t of_body = sent_ - of_head;
    iovec parts[2] = {{const_cast<char*>(head_.data()) + of_head, head_.size() - of_head},
                      {const_cast<char*>(body.data()) + of_body, body.size() - of_body}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t sent = ::sendmsg(connection_->fd(), &message, MSG_NOSIGNAL);
    if (sent >= 0) {
      sent_ += static_cast<std::size_t>(sent);
    } else if (errno != EINTR) {
      return;  // full, or broken: reading tells, and an answer may be there already
    }
  }
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
  return connection_->used() && is_idempotent(exchange_.request().method);
}

// The connection can carry another call when both sides have said all of this one.
void HttpRun::end_well() {
  const bool reusable = parser_.keep_alive() && sent_ == head_.size() + exchange_.body().size();
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
  if (connection_) upstream_.loop().dispose(std::move(connection_));
  exchange_.fail(wire::FailKind::kCancelled, "cancelled");
}

}  // namespace sterna::native
