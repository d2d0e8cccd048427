#include "sandbox/packet_filter.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "sandbox/admission.h"
#include "sandbox/netfilter_messages.h"

namespace sterna::sandbox {
namespace {

constexpr std::uint32_t kLoopback = 1;         // its index in every network
constexpr std::uint8_t kNeighbourFirst = 133;  // ICMPv6: router and neighbour discovery, redirects
constexpr std::uint8_t kNeighbourLast = 136;
constexpr unsigned kV4Bits = 96;         // of a v4-mapped range that are not the address
constexpr std::uint32_t kV4Offset = 16;  // of the destination in the network header
constexpr std::uint32_t kV6Offset = 24;
constexpr std::uint32_t kPortOffset = 2;  // of the destination port, TCP and UDP

bool is_v4(const IpRange& range) {
  return range.base.is_v4() && range.bits >= kV4Bits;
}

// Builds the expressions of one rule; each works on the first register unless it names another.
class Rule {
 public:
  explicit Rule(NetfilterMessages& messages) : messages_(messages) {
    messages_.begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFTA_RULE_TABLE);
    messages_.text(NFTA_RULE_CHAIN, kFilterChain);
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

  void load(std::uint32_t base, std::uint32_t offset, std::size_t size, std::uint32_t to = NFT_REG_1) {
    expression("payload", [&] {
      messages_.number(NFTA_PAYLOAD_DREG, to);
      messages_.number(NFTA_PAYLOAD_BASE, base);
      messages_.number(NFTA_PAYLOAD_OFFSET, offset);
      messages_.number(NFTA_PAYLOAD_LEN, static_cast<std::uint32_t>(size));
    });
  }
  void load_zero(std::uint32_t to) {
    expression("immediate", [&] {
      const std::uint32_t zero = 0;
      messages_.number(NFTA_IMMEDIATE_DREG, to);
      messages_.value(NFTA_IMMEDIATE_DATA, &zero, sizeof zero);
    });
  }
  void mask(const void* mask, std::size_t size) {
    const std::array<char, 16> zero{};
    expression("bitwise", [&] {
      messages_.number(NFTA_BITWISE_SREG, NFT_REG_1);
      messages_.number(NFTA_BITWISE_DREG, NFT_REG_1);
      messages_.number(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(size));
      messages_.value(NFTA_BITWISE_MASK, mask, size);
      messages_.value(NFTA_BITWISE_XOR, zero.data(), size);
    });
  }
  void compare(std::uint32_t operation, const void* wanted, std::size_t size) {
    expression("cmp", [&] {
      messages_.number(NFTA_CMP_SREG, NFT_REG_1);
      messages_.number(NFTA_CMP_OP, operation);
      messages_.value(NFTA_CMP_DATA, wanted, size);
    });
  }
  // The key in the first register must be in `set`; there, its time begins anew.
  void find_in(const char* set) {
    expression("lookup", [&] {
      messages_.text(NFTA_LOOKUP_SET, set);
      messages_.number(NFTA_LOOKUP_SREG, NFT_REG_1);
    });
    expression("dynset", [&] {
      messages_.text(NFTA_DYNSET_SET_NAME, set);
      messages_.number(NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
      messages_.number(NFTA_DYNSET_SREG_KEY, NFT_REG_1);
      messages_.long_number(NFTA_DYNSET_TIMEOUT, std::chrono::milliseconds(kAdmissionTime).count());
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

  NetfilterMessages& messages_;
  std::size_t list_ = 0;
};

// "To an address in this range": bytes that are wholly fixed are compared as they are, a broken one under a
// mask.
void match_destination(Rule& rule, const IpRange& to) {
  const bool v4 = is_v4(to);
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

// The key of the sets: the address, then the port, in registers that follow each other.
void match_admitted(Rule& rule, const IpRange& to, std::optional<std::uint8_t> protocol) {
  const bool v4 = is_v4(to);
  match_destination(rule, to);
  if (protocol) rule.meta_is(NFT_META_L4PROTO, *protocol);
  const std::uint32_t port_register = v4 ? NFT_REG32_01 : NFT_REG_2;
  rule.load(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kV4Offset : kV6Offset, v4 ? 4 : 16);
  if (protocol)
    rule.load(NFT_PAYLOAD_TRANSPORT_HEADER, kPortOffset, sizeof(std::uint16_t), port_register);
  else
    rule.load_zero(port_register);
  rule.find_in(admission_set(v4));
}

void add_rule(NetfilterMessages& messages, const EgressRule& wanted) {
  if (wanted.addresses == EgressRule::Addresses::kAdmitted) {
    for (const std::optional<std::uint8_t> protocol :
         {std::optional<std::uint8_t>(), std::optional<std::uint8_t>(IPPROTO_TCP),
          std::optional<std::uint8_t>(IPPROTO_UDP)}) {
      Rule rule(messages);
      match_admitted(rule, wanted.to, protocol);
      rule.conclude(wanted.verdict);
    }
    return;
  }
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
void add_own_traffic(NetfilterMessages& messages) {
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

void add_chain(NetfilterMessages& messages) {
  messages.begin(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, NFTA_TABLE_NAME);
  messages.end();
  messages.begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, NFTA_CHAIN_TABLE);
  messages.text(NFTA_CHAIN_NAME, kFilterChain);
  const std::size_t hook = messages.open(NFTA_CHAIN_HOOK);
  messages.number(NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
  messages.number(NFTA_HOOK_PRIORITY, 0);
  messages.close(hook);
  messages.number(NFTA_CHAIN_POLICY, NF_DROP);
  messages.text(NFTA_CHAIN_TYPE, "filter");
  messages.end();
}

int send_messages(const char* bytes, std::size_t size) {
  const UniqueFd socket(open_netfilter());
  return socket.get() < 0 ? -socket.get() : send_netfilter(socket.get(), bytes, size);
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
  NetfilterMessages messages;
  add_chain(messages);
  if (std::ranges::any_of(
          rules, [](const auto& each) { return each.addresses == EgressRule::Addresses::kAdmitted; }))
    add_admission_sets(messages);
  add_own_traffic(messages);
  for (const EgressRule& rule : rules) add_rule(messages, rule);
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
  EgressPolicy policy;  // with names, so that all is tried
  policy.names.push_back({.host = {.name = "example.org"}, .port = {}});
  const std::string messages = filter_messages(egress_rules(policy, {}, {}));
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
