#include "server/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace sterna::server {
namespace {

constexpr int kStatus = 1;

sigset_t mask() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  // nohup has it ignored, and the kernel ignores no signal that is blocked.
  struct sigaction hang_up{};
  if (::sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
  return set;
}

[[noreturn]] void end_now() {
  log::error("a thread does not end; the process ends without it");
  log::flush();
  ::_exit(kStatus);
}

}  // namespace

void Signals::block() {
  const sigset_t set = mask();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Signals::Signals() {
  const sigset_t set = mask();
  signals_.reset(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  wake_.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!signals_ || !wake_) throw std::system_error(errno, std::system_category(), "signalfd");
  thread_ = std::thread([this] { wait(); });
}

Signals::~Signals() {
  {
    const std::scoped_lock lock(mutex_);
    done_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Signals::tell(std::function<void(int)> heard) {
  const std::scoped_lock lock(mutex_);
  heard_ = std::move(heard);
  if (!heard_) return;
  for (const int signal : std::exchange(early_, {})) heard_(signal);
}

void Signals::end_within(Duration patience) {
  {
    const std::scoped_lock lock(mutex_);
    latest_ = std::min(latest_, clock_.now() + patience);
  }
  ::eventfd_write(wake_.get(), 1);
}

void Signals::on_signal(int signal) {
  const std::scoped_lock lock(mutex_);
  if (count_ > 0 && signal == SIGHUP) return;
  if (heard_) {
    heard_(signal);
  } else {
    early_.push_back(signal);
  }
  constexpr int kTooMany = 3;
  if (++count_ == kTooMany) end_now();
  if (count_ > 1) latest_ = std::min(latest_, clock_.now() + kPatience);
}

bool Signals::goes_on() {
  const std::scoped_lock lock(mutex_);
  if (!done_ && clock_.now() >= latest_) end_now();
  return !done_;
}

int Signals::milliseconds_left() {
  const std::scoped_lock lock(mutex_);
  if (latest_ == MonotonicTime::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(latest_ - clock_.now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX));
}

void Signals::wait() {
  while (goes_on()) {
    std::array<pollfd, 2> ready{{{signals_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
    ::poll(ready.data(), ready.size(), milliseconds_left());
    eventfd_t ignored = 0;
    ::eventfd_read(wake_.get(), &ignored);
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info)
      on_signal(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace sterna::server
