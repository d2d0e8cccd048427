#include "pool/worker_socket.h"

#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <latch>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/refuse_descriptors.h"

namespace sterna::pool {
namespace {

// The most that one message brings, and a read stops behind such a one (SCM_MAX_FD). What found no room here,
// or none among this process's files, the kernel would close on the spot.
constexpr std::size_t kMostDescriptors = 253;

void take(msghdr& message, std::vector<UniqueFd>& sent) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      sent.emplace_back(fd);
    }
  }
}

ssize_t receive_with(int socket, char* room, std::size_t size, std::vector<UniqueFd>& sent) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostDescriptors * sizeof(int))> control;
  iovec data{room, size};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got >= 0) take(message, sent);
  return got;
}

// Who ends does not linger, whatever SO_LINGER says (the kernel's inet_release), and that holds for a thread
// with a table of files of its own: it is the last to have them.
void close_without_waiting(std::vector<UniqueFd> files) {
  if (files.empty()) return;
  std::latch copied(1);
  std::latch closed(1);
  bool alone = false;
  try {
    const std::jthread ending([&] {
      alone = ::unshare(CLONE_FILES) == 0;
      copied.count_down();
      closed.wait();
    });
    copied.wait();
    if (alone) files.clear();
    closed.count_down();
  } catch (const std::system_error& no_thread) {
    log::warn("what a worker sent cannot be closed", {{"error", std::string_view(no_thread.what())}});
  }
  // Without a thread or memory for that they stay open: better than a loop that waits.
  for (UniqueFd& left : files) left.release();
}

}  // namespace

WorkerSocket::WorkerSocket(UniqueFd socket, Guard guard)
    : socket_(std::move(socket)),
      guard_(guard == Guard::kKernel && refuse_descriptors(socket_.get()) ? Guard::kKernel : Guard::kReader) {
}

ssize_t WorkerSocket::receive(char* room, std::size_t size) {
  if (guard_ == Guard::kKernel) return ::recv(socket_.get(), room, size, 0);
  std::vector<UniqueFd> sent;
  const ssize_t got = receive_with(socket_.get(), room, size, sent);
  if (sent.empty()) return got;
  close_without_waiting(std::move(sent));
  errno = EBADMSG;
  return -1;
}

void WorkerSocket::close() {
  if (socket_ && guard_ == Guard::kReader) {
    ::shutdown(socket_.get(), SHUT_RDWR);  // no more comes, and a read does not wait
    std::vector<UniqueFd> sent;
    std::array<char, 16U << 10> room;
    while (true) {
      const ssize_t got = receive_with(socket_.get(), room.data(), room.size(), sent);
      if (got == 0 || (got < 0 && errno != EINTR)) break;
    }
    close_without_waiting(std::move(sent));
  }
  socket_.reset();
}

}  // namespace sterna::pool
