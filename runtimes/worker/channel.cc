#include "worker/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>

namespace sterna::worker {
namespace {

constexpr std::size_t kReadBytes = 64U << 10;
constexpr int kNoMemoryPauseMs = 5;
constexpr std::size_t kKeepBytes = 512U << 10;  // a send buffer that grew beyond it is given back
constexpr std::size_t kMaxWaiting = 1U << 20;   // more than that behind a slow send: wait for it

Channel* forked_channel = nullptr;  // what the fork hook closes; pthread_atfork takes no argument

void wait_until_writable(int fd) {
  pollfd ready{fd, POLLOUT, 0};
  while (::poll(&ready, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<std::unique_ptr<Channel>> Channel::open(UniqueFd socket, UniqueFd claim, Guard& guard) {
  void* page = ::mmap(nullptr, sizeof(wire::ClaimPage), PROT_READ | PROT_WRITE, MAP_SHARED, claim.get(), 0);
  if (page == MAP_FAILED) return fail_errno(Component::kWorker, "map the claim page", errno);
  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK) < 0) {
    return fail_errno(Component::kWorker, "make the socket blocking", errno);
  }
  ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
  return std::unique_ptr<Channel>(new Channel(std::move(socket), static_cast<wire::ClaimPage*>(page), guard));
}

Channel::Channel(UniqueFd socket, wire::ClaimPage* page, Guard& guard)
    : guard_(guard), socket_(std::move(socket)), page_(page) {
  static const int registered = ::pthread_atfork(nullptr, nullptr, &Channel::after_fork_in_child);
  STERNA_ASSERT(registered == 0);
  forked_channel = this;
}

Channel::~Channel() {
  if (forked_channel == this) forked_channel = nullptr;
  ::munmap(page_, sizeof *page_);
}

// A child that user code forks must neither read our frames nor answer for us.
void Channel::after_fork_in_child() {
  if (forked_channel != nullptr) forked_channel->close();
}

Channel::Filled Channel::fill(Wait wait) {
  char* const into = reader_.prepare(kReadBytes);
  while (socket_) {
    ssize_t got = 0;
    if (wait == Wait::kNo) {
      got = ::recv(socket_.get(), into, reader_.writable(), MSG_DONTWAIT);
    } else {
      const Guard::Pause paused(guard_);
      got = ::recv(socket_.get(), into, reader_.writable(), 0);
    }
    if (got > 0) {
      reader_.commit(static_cast<std::size_t>(got));
      return Filled::kBytes;
    }
    if (got < 0 && errno == EINTR) {
      guard_.on_signal();
      continue;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Filled::kNothing;
    close();
  }
  return Filled::kEnd;
}

Channel::Sent Channel::send_some() {
  while (socket_) {
    if (sent_ == sending_.size()) {
      sent_ = 0;
      sending_.clear();
      if (sending_.capacity() > kKeepBytes) sending_ = std::string();
      if (out_.empty()) return Sent::kAll;
      sending_.swap(out_);
    }
    const ssize_t sent =
        ::send(socket_.get(), sending_.data() + sent_, sending_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      sent_ += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return Sent::kPart;
    } else if (errno == ENOBUFS || errno == ENOMEM) {
      // No memory for what would be in the socket, which passes, and of whose end the kernel does not tell.
      ::poll(nullptr, 0, kNoMemoryPauseMs);
    } else if (errno != EINTR) {
      close();
    }
  }
  out_.clear();
  return Sent::kAll;
}

void Channel::flush() {
  if (closed()) return out_.clear();
  if (is_sending_) {
    while (is_sending_ && out_.size() > kMaxWaiting) {
      const Guard::Pause paused(guard_);
      const std::lock_guard<std::mutex> until_sent(sending_mutex_);
    }
    return;
  }
  is_sending_ = true;
  {
    const std::lock_guard<std::mutex> sending(sending_mutex_);
    while (send_some() == Sent::kPart) {
      const Guard::Pause paused(guard_);
      wait_until_writable(socket_.get());
    }
  }
  is_sending_ = false;
}

bool Channel::try_flush() {
  return !is_sending_ && send_some() == Sent::kAll;
}

bool Channel::claim(std::uint16_t slot, std::uint64_t call) {
  if (closed()) return false;  // a fork shares the page with the worker
  if (page_->swap_from_queued(slot, wire::Claim::kStarted)) return true;
  wire::append_frame(out_, wire::FrameType::kRecalled, wire::More::kNo, slot, call, {});
  return false;
}

void Channel::fail_call(std::uint16_t slot, std::uint64_t call, const wire::Failed& failed) {
  lines_.end_call(out_, call);
  const std::size_t offset = wire::open_frame(out_, wire::FrameType::kFailed, wire::More::kNo, slot, call);
  wire::append_failed(out_, failed);
  wire::close_frame(out_, offset);
}

void Channel::log(std::uint64_t call, wire::Stream stream, std::string_view text) {
  lines_.add(out_, call, stream, text);
  if (!out_.empty()) flush();
}

}  // namespace sterna::worker
