#include "sandbox/packet_filter.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

namespace sterna::sandbox {
namespace {

constexpr const char* kTable = "sterna";
constexpr const char* kChain = "egress";
constexpr std::uint32_t kLoopback = 1;         // its index in every network
constexpr std::uint8_t kNeighbourFirst = 133;  // ICMPv6: router and neighbour discovery, redirects
constexpr std::uint8_t kNeighbourLast = 136;
constexpr unsigned kV4Bits = 96;         // of a v4-mapped range that are not the address
constexpr std::uint32_t kV4Offset = 16;  // of the destination in the network header
constexpr std::uint32_t kV6Offset = 24;
constexpr std::uint32_t kPortOffset = 2;  // of the destination port, TCP and UDP

// Netlink messages one after the other, attributes within attributes.
class Messages {
 public:
  std::string take() { return std::move(bytes_); }

  void begin(std::uint16_t type, std::uint16_t flags, std::uint8_t family, std::uint16_t resource) {
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
  void end() {
    const auto length = static_cast<std::uint32_t>(bytes_.size() - message_);
    std::memcpy(bytes_.data() + message_, &length, sizeof length);
  }

  std::size_t open(std::uint16_t type) {
    const std::size_t at = bytes_.size();
    head(static_cast<std::uint16_t>(type | NLA_F_NESTED), 0);
    return at;
  }
  void close(std::size_t at) {
    const auto length = static_cast<std::uint16_t>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at, &length, sizeof length);
  }

  void data(std::uint16_t type, const void* value, std::size_t size) {
    head(type, size);
    append(value, size);
    bytes_.append(NLA_ALIGN(size) - size, '\0');
  }
  void text(std::uint16_t type, std::string_view value) {
    data(type, std::string(value).c_str(), value.size() + 1);
  }
  void number(std::uint16_t type, std::uint32_t value) {
    const std::uint32_t big_endian = htonl(value);
    data(type, &big_endian, sizeof big_endian);
  }

 private:
  void append(const void* value, std::size_t size) { bytes_.append(static_cast<const char*>(value), size); }
  void head(std::uint16_t type, std::size_t size) {
    const nlattr attribute{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + size), .nla_type = type};
    append(&attribute, sizeof attribute);
  }

  std::string bytes_;
  std::size_t message_ = 0;
  std::uint32_t sequence_ = 1;
};

constexpr std::uint16_t call_of(int message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

// Builds the expressions of one rule; each works on the first register.
class Rule {
 public:
  explicit Rule(Messages& messages) : messages_(messages) {
    messages_.begin(call_of(NFT_MSG_NEWRULE), NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, NFPROTO_INET, 0);
    messages_.text(NFTA_RULE_TABLE, kTable);
    messages_.text(NFTA_RULE_CHAIN, kChain);
    list_ = messages_.open(NFTA_RULE_EXPRESSIONS);
  }
  Rule(const Rule&) = delete;
  Rule& operator=(const Rule&) = delete;
  ~Rule() {
    messages_.close(list_);
    messages_.end();
  }

  void meta_is(std::uint32_t key, const void* value, std::size_t size) {
    expression("meta", [&] {
      messages_.number(NFTA_META_DREG, NFT_REG_1);
      messages_.number(NFTA_META_KEY, key);
    });
    compare(NFT_CMP_EQ, value, size);
  }
  void meta_is(std::uint32_t key, std::uint8_t value) { meta_is(key, &value, sizeof value); }

  void load(std::uint32_t base, std::uint32_t offset, std::size_t size) {
    expression("payload", [&] {
      messages_.number(NFTA_PAYLOAD_DREG, NFT_REG_1);
      messages_.number(NFTA_PAYLOAD_BASE, base);
      messages_.number(NFTA_PAYLOAD_OFFSET, offset);
      messages_.number(NFTA_PAYLOAD_LEN, static_cast<std::uint32_t>(size));
    });
  }
  void mask(const void* mask, std::size_t size) {
    const std::array<char, 16> zero{};
    expression("bitwise", [&] {
      messages_.number(NFTA_BITWISE_SREG, NFT_REG_1);
      messages_.number(NFTA_BITWISE_DREG, NFT_REG_1);
      messages_.number(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(size));
      value(NFTA_BITWISE_MASK, mask, size);
      value(NFTA_BITWISE_XOR, zero.data(), size);
    });
  }
  void compare(std::uint32_t operation, const void* wanted, std::size_t size) {
    expression("cmp", [&] {
      messages_.number(NFTA_CMP_SREG, NFT_REG_1);
      messages_.number(NFTA_CMP_OP, operation);
      value(NFTA_CMP_DATA, wanted, size);
    });
  }
  // Refused packets are answered, so that nobody waits for a timeout.
  void conclude(Verdict verdict) {
    if (verdict == Verdict::kRefuse) {
      expression("reject", [&] {
        const std::uint8_t prohibited = NFT_REJECT_ICMPX_ADMIN_PROHIBITED;
        messages_.number(NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
        messages_.data(NFTA_REJECT_ICMP_CODE, &prohibited, sizeof prohibited);
      });
      return;
    }
    expression("immediate", [&] {
      messages_.number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      const std::size_t data = messages_.open(NFTA_IMMEDIATE_DATA);
      const std::size_t inner = messages_.open(NFTA_DATA_VERDICT);
      messages_.number(NFTA_VERDICT_CODE, NF_ACCEPT);
      messages_.close(inner);
      messages_.close(data);
    });
  }

 private:
  template <class Fill>
  void expression(std::string_view name, Fill fill) {
    const std::size_t element = messages_.open(NFTA_LIST_ELEM);
    messages_.text(NFTA_EXPR_NAME, name);
    const std::size_t data = messages_.open(NFTA_EXPR_DATA);
    fill();
    messages_.close(data);
    messages_.close(element);
  }
  void value(std::uint16_t type, const void* bytes, std::size_t size) {
    const std::size_t at = messages_.open(type);
    messages_.data(NFTA_DATA_VALUE, bytes, size);
    messages_.close(at);
  }

  Messages& messages_;
  std::size_t list_ = 0;
};

// "To an address in this range": bytes that are wholly fixed are compared as they are, a broken one under a
// mask.
void match_destination(Rule& rule, const IpRange& to) {
  const bool v4 = to.base.is_v4() && to.bits >= kV4Bits;
  rule.meta_is(NFT_META_NFPROTO, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
  const unsigned skipped = v4 ? kV4Bits : 0;
  const unsigned bits = to.bits - skipped;
  const std::size_t size = (bits + 7) / 8;
  if (size == 0) return;
  rule.load(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kV4Offset : kV6Offset, size);
  if (bits % 8 != 0) {
    std::array<std::uint8_t, 16> mask{};
    mask.fill(0xff);
    mask[size - 1] = static_cast<std::uint8_t>(0xff << (8 - bits % 8));
    rule.mask(mask.data(), size);
  }
  rule.compare(NFT_CMP_EQ, to.base.bytes.data() + skipped / 8, size);
}

void add_rule(Messages& messages, const EgressRule& wanted) {
  if (!wanted.port) {
    Rule rule(messages);
    match_destination(rule, wanted.to);
    return rule.conclude(wanted.verdict);
  }
  for (const int protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
    Rule rule(messages);
    match_destination(rule, wanted.to);
    rule.meta_is(NFT_META_L4PROTO, static_cast<std::uint8_t>(protocol));
    rule.load(NFT_PAYLOAD_TRANSPORT_HEADER, kPortOffset, sizeof(std::uint16_t));
    const std::uint16_t port = htons(*wanted.port);
    rule.compare(NFT_CMP_EQ, &port, sizeof port);
    rule.conclude(wanted.verdict);
  }
}

// What stays within the sandbox, and what IPv6 needs to find its neighbours.
void add_own_traffic(Messages& messages) {
  {
    Rule rule(messages);
    rule.meta_is(NFT_META_OIF, &kLoopback, sizeof kLoopback);
    rule.conclude(Verdict::kAccept);
  }
  Rule rule(messages);
  rule.meta_is(NFT_META_L4PROTO, IPPROTO_ICMPV6);
  rule.load(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
  rule.compare(NFT_CMP_GTE, &kNeighbourFirst, 1);
  rule.compare(NFT_CMP_LTE, &kNeighbourLast, 1);
  rule.conclude(Verdict::kAccept);
}

void add_chain(Messages& messages) {
  messages.begin(call_of(NFT_MSG_NEWTABLE), NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, NFPROTO_INET, 0);
  messages.text(NFTA_TABLE_NAME, kTable);
  messages.end();
  messages.begin(call_of(NFT_MSG_NEWCHAIN), NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, NFPROTO_INET, 0);
  messages.text(NFTA_CHAIN_TABLE, kTable);
  messages.text(NFTA_CHAIN_NAME, kChain);
  const std::size_t hook = messages.open(NFTA_CHAIN_HOOK);
  messages.number(NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
  messages.number(NFTA_HOOK_PRIORITY, 0);
  messages.close(hook);
  messages.number(NFTA_CHAIN_POLICY, NF_DROP);
  messages.text(NFTA_CHAIN_TYPE, "filter");
  messages.end();
}

// The kernel has answered when the send returns: an error for each message that it did not like, else 0 for
// each.
int answer_of(int socket) {
  alignas(nlmsghdr) char buffer[8192];
  int answers = 0;
  while (true) {
    const ssize_t got = ::recv(socket, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return answers > 0 ? 0 : EPROTO;
    if (got < 0) return errno;
    auto left = static_cast<unsigned>(got);
    for (const auto* head = reinterpret_cast<const nlmsghdr*>(buffer); NLMSG_OK(head, left);
         head = NLMSG_NEXT(head, left)) {
      if (head->nlmsg_type != NLMSG_ERROR) continue;
      const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(head));
      if (error->error != 0) return -error->error;
      ++answers;
    }
  }
}

int send_messages(const char* bytes, std::size_t size) {
  const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket) return errno;
  // All answers must fit: there is one for each rule.
  const int room = 1 << 20;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const ssize_t sent =
      ::sendto(socket.get(), bytes, size, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  if (sent < 0) return errno;
  return answer_of(socket.get());
}

struct Trial {
  const std::string& messages;
};

int try_filter(void* argument) {
  const std::string& messages = static_cast<const Trial*>(argument)->messages;
  ::_exit(send_messages(messages.data(), messages.size()) == 0 ? 0 : 1);
}

}  // namespace

std::string filter_messages(const std::vector<EgressRule>& rules) {
  Messages messages;
  messages.begin(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  messages.end();
  add_chain(messages);
  add_own_traffic(messages);
  for (const EgressRule& rule : rules) add_rule(messages, rule);
  messages.begin(NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  messages.end();
  return messages.take();
}

Result<UniqueFd> pack_filter(const std::vector<EgressRule>& rules) {
  const std::string messages = filter_messages(rules);
  UniqueFd memory(::memfd_create("sterna-filter", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const bool good =
      memory &&
      ::write(memory.get(), messages.data(), messages.size()) == static_cast<ssize_t>(messages.size()) &&
      ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
  if (!good) return fail_errno(Component::kWorker, "pack the filter of the network", errno);
  return memory;
}

StepError install_packet_filter(int packed) {
  struct stat info{};
  if (::fstat(packed, &info) != 0) return {"read the network's filter", errno};
  const auto size = static_cast<std::size_t>(info.st_size);
  void* const bytes = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, packed, 0);
  if (bytes == MAP_FAILED) return {"map the network's filter", errno};
  const int error = send_messages(static_cast<const char*>(bytes), size);
  ::munmap(bytes, size);
  return error == 0 ? StepError{} : StepError{"filter the network", error};
}

bool can_filter_packets() {
  const std::string messages = filter_messages(egress_rules({}, {}, {}));
  Trial trial{messages};
  alignas(16) char stack[std::size_t{64} * 1024];
  const pid_t pid = ::clone(try_filter, stack + sizeof stack, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, &trial);
  if (pid < 0) return false;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace sterna::sandbox
