#include "sandbox/netfilter_messages.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sterna::sandbox {
namespace {

// The kernel has answered when the send returns: an error for each message that it did not like, else 0 for
// each.
int answer_of(int socket) {
  alignas(nlmsghdr) char buffer[8192];
  int answers = 0;
  int first_error = 0;
  while (true) {
    const ssize_t got = ::recv(socket, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return first_error != 0 ? first_error : answers > 0 ? 0 : EPROTO;
    if (got < 0) return errno;
    auto left = static_cast<unsigned>(got);
    for (const auto* head = reinterpret_cast<const nlmsghdr*>(buffer); NLMSG_OK(head, left);
         head = NLMSG_NEXT(head, left)) {
      if (head->nlmsg_type != NLMSG_ERROR) continue;
      const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(head));
      if (error->error != 0 && first_error == 0) first_error = -error->error;
      ++answers;
    }
  }
}

}  // namespace

void NetfilterMessages::begin_any(std::uint16_t type, std::uint16_t flags, std::uint8_t family,
                                  std::uint16_t resource) {
  message_ = bytes_.size();
  const nlmsghdr head{.nlmsg_len = 0,
                      .nlmsg_type = type,
                      .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags),
                      .nlmsg_seq = sequence_++,
                      .nlmsg_pid = 0};
  append(&head, sizeof head);
  const nfgenmsg general{.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
  append(&general, sizeof general);
}

void NetfilterMessages::bracket(std::uint16_t type) {
  begin_any(type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  end();
}

std::string NetfilterMessages::take() {
  bracket(NFNL_MSG_BATCH_END);
  return std::move(bytes_);
}

void NetfilterMessages::begin(int message, std::uint16_t flags, std::uint16_t attribute) {
  if (bytes_.empty()) bracket(NFNL_MSG_BATCH_BEGIN);
  begin_any(static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message),
            static_cast<std::uint16_t>(NLM_F_ACK | flags), NFPROTO_INET, 0);
  text(attribute, kFilterTable);
}

void NetfilterMessages::end() {
  const auto length = static_cast<std::uint32_t>(bytes_.size() - message_);
  std::memcpy(bytes_.data() + message_, &length, sizeof length);
}

std::size_t NetfilterMessages::open(std::uint16_t type) {
  const std::size_t at = bytes_.size();
  head(static_cast<std::uint16_t>(type | NLA_F_NESTED), 0);
  return at;
}

void NetfilterMessages::close(std::size_t at) {
  const auto length = static_cast<std::uint16_t>(bytes_.size() - at);
  std::memcpy(bytes_.data() + at, &length, sizeof length);
}

void NetfilterMessages::head(std::uint16_t type, std::size_t size) {
  const nlattr attribute{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + size), .nla_type = type};
  append(&attribute, sizeof attribute);
}

void NetfilterMessages::data(std::uint16_t type, const void* value, std::size_t size) {
  head(type, size);
  append(value, size);
  bytes_.append(NLA_ALIGN(size) - size, '\0');
}

void NetfilterMessages::text(std::uint16_t type, std::string_view value) {
  data(type, std::string(value).c_str(), value.size() + 1);
}

void NetfilterMessages::number(std::uint16_t type, std::uint32_t value) {
  const std::uint32_t big_endian = htonl(value);
  data(type, &big_endian, sizeof big_endian);
}

void NetfilterMessages::long_number(std::uint16_t type, std::uint64_t value) {
  const std::uint64_t big_endian = htobe64(value);
  data(type, &big_endian, sizeof big_endian);
}

void NetfilterMessages::value(std::uint16_t type, const void* bytes, std::size_t size) {
  const std::size_t at = open(type);
  data(NFTA_DATA_VALUE, bytes, size);
  close(at);
}

int open_netfilter() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0) return -errno;
  // All answers must fit: there is one for each message.
  const int room = 1 << 20;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  const int on = 1;
  ::setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  return fd;
}

int send_netfilter(int socket, const char* bytes, std::size_t size) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const ssize_t sent =
      ::sendto(socket, bytes, size, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  return sent < 0 ? errno : answer_of(socket);
}

}  // namespace sterna::sandbox
