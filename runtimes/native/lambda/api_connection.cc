#include "native/lambda/api_connection.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/status_phrase.h"
#include "native/quick_ack.h"

namespace sterna::native {
namespace {

// Of a head, and of trailers. As AWS' own: its clients put an error's trace and message there.
constexpr std::size_t kMaxHead = 1U << 20;
constexpr std::size_t kMaxEarly = 128U << 10;  // of the requests behind one that is not answered yet
constexpr std::size_t kMaxRead = 1U << 20;     // in one turn, so that the others have theirs

int error_of(int socket) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace

ApiConnection::ApiConnection(net::Loop& loop, UniqueFd socket, ApiRouter& router,
                             std::function<void()> on_closed)
    : loop_(loop),
      socket_(std::move(socket)),
      router_(router),
      on_closed_(std::move(on_closed)),
      parser_(kMaxHead) {}

ApiConnection::~ApiConnection() {
  loop_.cancel(resume_timer_);
  if (socket_) loop_.remove(socket_.get(), *this);
}

Status ApiConnection::open() {
  return loop_.add(socket_.get(), *this);
}

void ApiConnection::on_event(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0 && !out_.empty()) write();
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) read();
}

void ApiConnection::resume() {
  loop_.cancel(resume_timer_);
  resume_timer_ = loop_.after(Duration::zero(), [this] { read(); });
}

void ApiConnection::read() {
  auto& scratch = loop_.scratch();
  std::size_t read = 0;
  while (state_ != State::kClosed) {
    if (read >= kMaxRead) return resume();
    const std::size_t room =
        state_ == State::kBody ? std::min(request_->room(), scratch.size()) : scratch.size();
    // While an answer is owed, nothing but what comes too early is read, and not much of that.
    stalled_ = room == 0 || (state_ >= State::kAnswer && in_.size() > kMaxEarly);
    if (stalled_) return;
    const ssize_t got = ::recv(socket_.get(), scratch.data(), room, 0);
    if (got > 0) {
      read += static_cast<std::size_t>(got);
      in_.append(scratch.data(), static_cast<std::size_t>(got));
      take_in();
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return close();
    } else if (errno == EAGAIN) {
      if (state_ == State::kBody || !in_.empty()) acknowledge(socket_.get());
      return;
    }
  }
}

// Requests that came together are taken one after the other; an answer that is given at once comes back here.
void ApiConnection::take_in() {
  if (std::exchange(taking_in_, true)) return;
  while (!in_.empty() && (state_ == State::kHead || state_ == State::kBody)) {
    const State before = state_;
    const std::size_t left = in_.size();
    const Status taken = state_ == State::kHead ? take_head() : take_body();
    if (!taken) {
      out_ += fmt::format("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}\n",
                          taken.error().detail.size() + 1, taken.error().detail);
      write();
      close();
    }
    if (state_ == before && in_.size() == left) break;
  }
  taking_in_ = false;
}

Status ApiConnection::take_head() {
  const auto length = net::find_head(in_, scanned_);
  if (!length) return std::unexpected(length.error());
  if (*length == 0) {
    if (in_.size() <= kMaxHead) return {};
    return fail(Code::kInvalid, Component::kFunction, "bad_request", "the request head is too large");
  }
  head_text_.assign(in_, 0, *length);
  in_.erase(0, *length);
  scanned_ = 0;
  head_.clear();
  if (const Status parsed = parser_.parse_head(head_text_, head_); !parsed) return parsed;
  request_ = router_.route(*this, head_);
  state_ = State::kBody;
  if (head_.expects_continue && !parser_.complete()) {
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    write();
    if (state_ == State::kClosed) return {};
  }
  return take_body();
}

Status ApiConnection::take_body() {
  if (!parser_.complete()) {
    const auto used = parser_.parse_body(in_, *this);
    if (!used) return std::unexpected(used.error());
    in_.erase(0, *used);
    if (!parser_.complete()) {
      if (in_.size() <= kMaxHead) return {};
      return fail(Code::kInvalid, Component::kFunction, "bad_request",
                  "a chunk's line or the trailers are too long");
    }
  }
  state_ = State::kAnswer;
  request_->on_end();
  return {};
}

void ApiConnection::answer(std::uint32_t status, std::string_view headers, std::string body) {
  if (state_ == State::kClosed) return;
  STERNA_ASSERT(state_ == State::kAnswer);
  state_ = State::kSending;
  fmt::format_to(std::back_inserter(out_), "HTTP/1.1 {} {}\r\n{}Content-Length: {}\r\n{}\r\n", status,
                 status_phrase(status), headers, body.size(),
                 head_.keep_alive ? "" : "Connection: close\r\n");
  body_ = std::move(body);
  write();
}

void ApiConnection::write() {
  while (sent_ < out_.size() + body_.size()) {
    const std::size_t of_head = std::min(sent_, out_.size());
    const std::size_t of_body = sent_ - of_head;
    iovec parts[2] = {{out_.data() + of_head, out_.size() - of_head},
                      {body_.data() + of_body, body_.size() - of_body}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (sent >= 0) {
      sent_ += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      return close();
    }
  }
  sent_ = 0;
  out_.clear();
  body_ = {};
  if (state_ != State::kSending) return;
  state_ = State::kHead;  // the request may be on the stack: it goes when the next one comes
  if (!head_.keep_alive) return close();
  take_in();
  if (stalled_) resume();
}

void ApiConnection::close() {
  const State before = std::exchange(state_, State::kClosed);
  if (before == State::kClosed) return;
  // The answer came to a socket that had been closed: nobody has read it. A closed socket that was read tells
  // no error, one that was reset tells another.
  const bool unread = before == State::kHead && request_ && error_of(socket_.get()) == EPIPE;
  loop_.remove(socket_.get(), *this);
  socket_.reset();
  if (before != State::kHead || unread) request_->on_broken();
  on_closed_();
}

}  // namespace sterna::native
