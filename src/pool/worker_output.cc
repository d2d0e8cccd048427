#include "pool/worker_output.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sterna::pool {
namespace {

// As much in a turn of the loop, so that timers and others come in between.
constexpr std::size_t kShare = 64U << 10;
// What is printed may come byte by byte: each read counts as that much more.
constexpr std::size_t kReadCost = 1U << 10;
constexpr std::size_t kMaxLine = 16U << 10;
// More than a pipe holds of a process that has ended.
constexpr std::size_t kLastWords = 4U << 20;

}  // namespace

WorkerOutput::WorkerOutput(net::Loop& loop, UniqueFd pipe, OnText on_text)
    : loop_(loop), pipe_(std::move(pipe)), on_text_(std::move(on_text)) {
  if (!loop_.add(pipe_.get(), *this, EPOLLIN | EPOLLET)) pipe_.reset();
}

void WorkerOutput::on_event(std::uint32_t) {
  if (pause_ || read(kShare) == Left::kNothing) return;
  pause_ = loop_.after(kWriterPause, [this] {
    pause_.reset();
    on_event(EPOLLIN);
  });
}

void WorkerOutput::drain() {
  read(kLastWords);
}

WorkerOutput::Left WorkerOutput::read(std::size_t share) {
  auto& scratch = loop_.scratch();
  for (std::size_t taken = 0; pipe_;) {
    if (taken >= share) return Left::kPerhapsMore;
    const ssize_t got = ::read(pipe_.get(), scratch.data(), std::min(scratch.size(), share - taken));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      close();
      break;
    }
    taken += static_cast<std::size_t>(got) + kReadCost;
    take({scratch.data(), static_cast<std::size_t>(got)});
  }
  return Left::kNothing;
}

void WorkerOutput::take(std::string_view text) {
  const std::size_t end = text.rfind('\n');  // there is none in line_
  line_ += text;
  if (end == std::string_view::npos && line_.size() < kMaxLine) return;
  const std::size_t whole =
      end == std::string_view::npos ? line_.size() : line_.size() - text.size() + end + 1;
  on_text_(std::string_view(line_).substr(0, whole));
  line_.erase(0, whole);
}

void WorkerOutput::close() {
  if (pause_) loop_.cancel(*std::exchange(pause_, {}));
  if (!line_.empty()) on_text_(std::exchange(line_, {}));
  if (!pipe_) return;
  loop_.remove(pipe_.get(), *this);
  pipe_.reset();
}

}  // namespace sterna::pool
