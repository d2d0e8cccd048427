#include "base/log_writer.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sterna {
namespace {

constexpr Duration kRetry = std::chrono::seconds(1);        // telling what was lost, after a write has failed
constexpr std::size_t kKeptBytes = std::size_t{64} << 10U;  // of the buffers, when nothing is queued

// Whole lines as far as they fit: the kernel writes that much to a pipe in one piece, whoever else writes.
std::string_view next_piece(std::string_view lines) {
  const std::size_t end = lines.substr(0, PIPE_BUF).rfind('\n');
  if (end != std::string_view::npos) return lines.substr(0, end + 1);
  const std::size_t first = lines.find('\n');
  return first == std::string_view::npos ? lines : lines.substr(0, first + 1);
}

// Answers how many lines were not written.
std::uint64_t write_lines(int fd, std::string_view lines) {
  while (!lines.empty()) {
    const std::string_view piece = next_piece(lines);
    const ssize_t written = ::write(fd, piece.data(), piece.size());
    if (written >= 0) {
      lines.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {  // someone has made the pipe non-blocking
      pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      break;
    }
  }
  return static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
}

}  // namespace

LogWriter::LogWriter(int fd, TellLost tell_lost)
    : shared_(std::make_shared<Shared>(fd, std::move(tell_lost))) {
  // Signals are for others, and a reader that is gone is an error of a write.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([shared = shared_] { work(*shared); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LogWriter::~LogWriter() {
  std::unique_lock lock(shared_->mutex);
  shared_->ending = true;
  shared_->wake.notify_one();
  const bool ended = shared_->done.wait_for(lock, kPatience, [this] { return shared_->ended; });
  lock.unlock();
  ended ? thread_.join() : thread_.detach();
}

void LogWriter::put(std::string_view line) {
  const std::scoped_lock lock(shared_->mutex);
  std::string& queued = shared_->queued;
  const bool is_full = queued.size() + line.size() > kQueueBytes;
  // After one that was dropped all are, until the reader goes on: the gap is in one place.
  if (is_full || (shared_->lost > 0 && !queued.empty())) {
    ++shared_->lost;
    return;
  }
  queued += line;
  if (queued.size() == line.size()) shared_->wake.notify_one();
}

void LogWriter::flush(Duration limit) {
  std::unique_lock lock(shared_->mutex);
  shared_->done.wait_for(lock, limit, [this] { return shared_->queued.empty() && !shared_->writing; });
}

void LogWriter::work(Shared& shared) {
  std::string lines;
  std::unique_lock lock(shared.mutex);
  const auto wanted = [&] { return shared.ending || !shared.queued.empty(); };
  while (true) {
    if (shared.lost > 0) {
      shared.wake.wait_for(lock, kRetry, wanted);
    } else {
      shared.wake.wait(lock, wanted);
    }
    if (shared.ending && shared.queued.empty()) break;
    lines.swap(shared.queued);
    const std::uint64_t lost = shared.lost.exchange(0);
    shared.writing = true;
    lock.unlock();
    if (lost > 0) lines += shared.tell_lost(lost);
    const std::uint64_t failed = write_lines(shared.fd, lines);
    lines.clear();
    if (lines.capacity() > kKeptBytes) lines.shrink_to_fit();
    lock.lock();
    shared.lost +=
        failed > 0 ? failed + (lost > 0 ? lost - 1 : 0) : 0;  // the last line was about those before
    shared.writing = false;
    shared.done.notify_all();
  }
  shared.ended = true;
  shared.done.notify_all();
}

}  // namespace sterna
