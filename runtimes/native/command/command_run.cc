#include "native/command/command_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "native/command/cgi_environment.h"
#include "native/command/kernel_kills.h"
#include "native/end.h"
#include "worker/log_lines.h"

namespace sterna::native {
namespace {

constexpr std::size_t kHeldBytes = 64U << 10;

// Text as far as it can be seen: valid UTF-8 without NUL; the last character may be cut off.
bool looks_like_text(std::string_view bytes) {
  if (bytes.find('\0') != std::string_view::npos) return false;
  if (worker::is_valid_utf8(bytes)) return true;
  std::size_t whole = bytes.size();
  while (whole > 0 && bytes.size() - whole < 3 &&
         (static_cast<unsigned char>(bytes[whole - 1]) & 0xC0U) == 0x80U)
    --whole;
  if (whole > 0) --whole;
  return worker::is_valid_utf8(bytes.substr(0, whole));
}

}  // namespace

CommandRun::Input::Input(net::Loop& loop, UniqueFd pipe, Exchange& exchange)
    : loop_(loop), pipe_(std::move(pipe)), exchange_(exchange) {
  ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
}

Status CommandRun::Input::watch() {
  if (const Status added = loop_.add(pipe_.get(), *this, EPOLLOUT | EPOLLET); !added) return added;
  write();
  return {};
}

void CommandRun::Input::write() {
  while (pipe_) {
    const std::string_view left = exchange_.body();
    if (left.empty() && !exchange_.body_is_whole()) return;
    const ssize_t sent = left.empty() ? 0 : ::write(pipe_.get(), left.data(), left.size());
    if (sent > 0) {
      exchange_.take_body(static_cast<std::size_t>(sent));
    } else if (sent < 0 && errno == EAGAIN) {
      return;
    } else if (sent == 0 || errno != EINTR) {
      close();  // that was all, or the process reads no more
    }
  }
}

void CommandRun::Input::close() {
  if (!pipe_) return;
  loop_.remove(pipe_.get(), *this);
  pipe_.reset();
}

CommandRun::CommandRun(Desk& desk, Exchange& exchange, const Command& command)
    : desk_(desk), exchange_(exchange), command_(command) {}

CommandRun::~CommandRun() {
  desk_.loop().cancel(hold_timer_);
  if (output_) desk_.loop().remove(output_.get(), *this);
}

void CommandRun::begin() {
  const Status spawned = spawn();
  if (spawned) return;
  exchange_.note(spawned.error().detail);
  exchange_.fail(wire::FailKind::kRaised, spawned.error().detail);
}

Status CommandRun::spawn() {
  auto in = Pipe::open();
  auto out = Pipe::open();
  auto err = Pipe::open();
  if (!in || !out || !err) return std::unexpected((!in ? in : !out ? out : err).error());
  kernel_kills_ = kernel_kills();
  output_ = std::move(out->read);
  ::fcntl(output_.get(), F_SETFL, O_NONBLOCK);
  errors_ = std::make_unique<LogPipe>(desk_, std::move(err->read), wire::Stream::kStderr,
                                      [call = exchange_.call()] { return call; });
  input_ = std::make_unique<Input>(desk_.loop(), std::move(in->write), exchange_);
  auto child = Child::start(desk_.loop(), command_.program, command_.argv,
                            cgi_environment(command_.environment, exchange_),
                            {.in = in->read.get(), .out = out->write.get(), .err = err->write.get()},
                            [this](int wait_status) { on_exit(wait_status); });
  if (!child) return std::unexpected(child.error());
  child_ = std::move(*child);
  in->read.reset();  // so that writing fails when the process reads no more
  for (const Status& step :
       {desk_.loop().add(output_.get(), *this, EPOLLIN | EPOLLET), errors_->watch(), input_->watch()}) {
    if (!step) return step;
  }
  return {};
}

void CommandRun::cancel() {
  cancelled_ = true;
  child_->signal_group(SIGKILL);
}

void CommandRun::on_exit(int wait_status) {
  wait_status_ = wait_status;
  errors_->drain();
  read_output();
}

void CommandRun::read_output() {
  auto& scratch = desk_.loop().scratch();
  while (!output_ended_ && !exchange_.ended()) {
    const std::uint64_t room = exchange_.answered() ? exchange_.window() : kHeldBytes - held_.size();
    if (room == 0) return;
    const ssize_t got = ::read(output_.get(), scratch.data(), std::min<std::uint64_t>(room, scratch.size()));
    if (got < 0 && errno == EINTR) continue;
    // What the process left behind may hold the pipe open for ever: its own end counts.
    if (got == 0 || (got < 0 && (errno != EAGAIN || wait_status_))) {
      output_ended_ = true;
    } else if (got < 0) {
      break;
    } else if (exchange_.answered()) {
      exchange_.part({scratch.data(), static_cast<std::size_t>(got)}, wire::More::kYes);
    } else {
      held_.append(scratch.data(), static_cast<std::size_t>(got));
      if (held_.size() == kHeldBytes) answer();
    }
  }
  if (!held_.empty() && !exchange_.answered() && hold_timer_.second == 0) {
    hold_timer_ = desk_.loop().after(kHold, [this] {
      if (!exchange_.answered() && !exchange_.ended()) answer();
    });
  }
  end_when_done();
}

// Begins the answer, or gives it whole when all is known.
void CommandRun::answer() {
  const bool whole = output_ended_ && wait_status_;
  std::string block;
  if (!held_.empty() || !command_.content_type.empty()) {
    const std::string_view guessed =
        looks_like_text(held_) ? "text/plain; charset=utf-8" : "application/octet-stream";
    wire::append_header(block, "Content-Type",
                        command_.content_type.empty() ? guessed : command_.content_type);
  }
  exchange_.respond(200, block.empty() ? 0 : 1, block, whole ? held_.size() : wire::kUnknownLength, held_,
                    whole ? wire::More::kNo : wire::More::kYes);
  held_ = {};
}

void CommandRun::end_when_done() {
  if (!output_ended_ || !wait_status_ || exchange_.ended()) return;
  if (cancelled_ || *wait_status_ != 0) return end_badly();
  if (exchange_.answered()) {
    exchange_.part({}, wire::More::kNo);
  } else {
    answer();
  }
}

// Only the server sees the counters of the worker's cgroup, and asks them when the worker itself is killed.
bool CommandRun::may_be_out_of_memory() const {
  return !kernel_kills_ || kernel_kills() != kernel_kills_;
}

void CommandRun::end_badly() {
  if (cancelled_) return exchange_.fail(wire::FailKind::kCancelled, "cancelled");
  const int wait_status = wait_status_.value_or(0);
  if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL && may_be_out_of_memory())
    end_like(wait_status, desk_.channel());
  const std::string text = command_.argv.front() + " " + describe_end(wait_status);
  exchange_.note(text);
  exchange_.fail(wire::FailKind::kRaised, text);
}

}  // namespace sterna::native
