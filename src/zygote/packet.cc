#include "zygote/packet.h"

#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace sterna::zygote {
namespace {

constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(int) * kMaxPacketFds) + CMSG_SPACE(sizeof(ucred));

void take_fds(const cmsghdr* part, RawPacket& raw) {
  const std::size_t held = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < held; ++i) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
    if (raw.fd_count < kMaxPacketFds)
      raw.fds[raw.fd_count++] = fd;
    else
      ::close(fd);
  }
}

void take_control(msghdr& message, RawPacket& raw) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_RIGHTS) take_fds(part, raw);
    if (part->cmsg_type == SCM_CREDENTIALS) {
      ucred who{};
      std::memcpy(&who, CMSG_DATA(part), sizeof who);
      raw.sender = who.pid;
    }
  }
}

}  // namespace

int send_packet(int socket, std::string_view bytes, std::span<const int> fds, const ucred* sender) {
  alignas(cmsghdr) char control[kControlBytes] = {};
  iovec data{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (fds.size() > kMaxPacketFds) return EINVAL;
  const auto add = [&](int type, const void* content, std::size_t size) {
    auto* part = reinterpret_cast<cmsghdr*>(control + message.msg_controllen);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = type;
    part->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(part), content, size);
    message.msg_control = control;
    message.msg_controllen += CMSG_SPACE(size);
  };
  if (!fds.empty()) add(SCM_RIGHTS, fds.data(), fds.size_bytes());
  if (sender != nullptr) add(SCM_CREDENTIALS, sender, sizeof *sender);
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

std::ptrdiff_t receive_raw(int socket, void* buffer, std::size_t capacity, RawPacket& raw) {
  alignas(cmsghdr) char control[kControlBytes] = {};
  iovec data{buffer, capacity};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  raw = {};
  if (got < 0) return -1;
  take_control(message, raw);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0) return got;
  for (std::size_t i = 0; i < raw.fd_count; ++i) ::close(raw.fds[i]);
  raw = {};
  errno = EMSGSIZE;
  return -1;
}

Received receive_packet(int socket, Packet& packet) {
  // Not in a string: sizing one writes all its pages, each a fault after a fork.
  char buffer[kMaxPacketBytes];
  RawPacket raw;
  packet.fds.clear();
  const std::ptrdiff_t got = receive_raw(socket, buffer, sizeof buffer, raw);
  const int error = errno;
  for (std::size_t i = 0; i < raw.fd_count; ++i) packet.fds.emplace_back(raw.fds[i]);
  packet.bytes.assign(buffer, got > 0 ? static_cast<std::size_t>(got) : 0);
  if (got > 0) return Received::kPacket;
  return got < 0 && (error == EAGAIN || error == EWOULDBLOCK) ? Received::kNothing : Received::kClosed;
}

}  // namespace sterna::zygote
