#include "sandbox/seccomp.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/unique_fd.h"
#include "sandbox/syscalls.h"

namespace sterna::sandbox {
namespace {

using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

constexpr std::uint64_t kNamespaceFlags =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

constexpr std::uint64_t kInt = 0xffffffffU;  // of a register

constexpr std::uint64_t kMptcp = 262;  // IPPROTO_MPTCP, unknown to older C libraries

// fchmodat2, unknown to libseccomp 2.5: without ENOSYS newer C libraries do not fall back.
constexpr int kFchmodat2 = 452;

scmp_arg_cmp equal(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
scmp_arg_cmp masked_equal(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

// Adds rules and remembers the first failure.
class Rules {
 public:
  explicit Rules(scmp_filter_ctx context) : context_(context) {}

  void add(std::uint32_t action, int call) {
    note(::seccomp_rule_add_array(context_, action, call, 0, nullptr));
  }
  void add(std::uint32_t action, int call, scmp_arg_cmp compare) {
    note(::seccomp_rule_add_array(context_, action, call, 1, &compare));
  }
  void add(std::uint32_t action, int call, scmp_arg_cmp first, scmp_arg_cmp second) {
    const scmp_arg_cmp both[] = {first, second};
    note(::seccomp_rule_add_array(context_, action, call, 2, both));
  }
  // Calls that this architecture does not have are left out.
  void allow(const char* name) {
    const int call = ::seccomp_syscall_resolve_name(name);
    if (call >= 0) add(SCMP_ACT_ALLOW, call);
  }
  int error() const { return error_; }

 private:
  void note(int result) {
    if (result < 0 && error_ == 0) error_ = -result;
  }

  scmp_filter_ctx context_;
  int error_ = 0;
};

// Only what makes replicas (zygote/parent_init.cc) traces a function's process; for all others there is no
// such call.
void add_what_is_traced(Rules& rules, OwnListeners listeners) {
  if (listeners == OwnListeners::kAllowed) {
    rules.add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(setns));
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(seccomp));
    return;
  }
  constexpr std::uint64_t kListener = SECCOMP_FILTER_FLAG_NEW_LISTENER;
  rules.add(SCMP_ACT_TRACE(0), SCMP_SYS(setns));
  rules.add(SCMP_ACT_TRACE(0), SCMP_SYS(seccomp), masked_equal(1, kListener, kListener));
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(seccomp), masked_equal(1, kListener, 0));
}

void add_processes(Rules& rules) {
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(clone), masked_equal(0, kNamespaceFlags, 0));
  rules.add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
  rules.add(SCMP_ACT_ERRNO(ENOSYS), kFchmodat2);
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(personality), equal(0, PER_LINUX));
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(personality), equal(0, 0xffffffffU));
}

// What all functions and the machine take from one store that no control group counts. Huge pages that are
// set aside are memory beyond `memory_mb`. The old asynchronous input and output has a number of requests for
// the whole machine; who misses it goes on without.
void add_shared_stores(Rules& rules) {
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(mmap), masked_equal(3, MAP_HUGETLB, 0));
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(memfd_create), masked_equal(1, MFD_HUGETLB, 0));
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(shmget), masked_equal(2, SHM_HUGETLB, 0));
  rules.add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_setup));
}

// Any limit but that of core dumps, which is one that could be lowered to hand cores to the host's handler
// (enter.cc). The kernel takes the low half of the argument.
void add_limits(Rules& rules) {
  for (std::uint64_t resource = 0; resource < RLIM_NLIMITS; ++resource) {
    if (resource == RLIMIT_CORE) continue;
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(setrlimit), masked_equal(0, kInt, resource));
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), masked_equal(1, kInt, resource));
  }
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), equal(2, 0));  // only asks
}

// Local sockets always; TCP, UDP and the route socket (which tells name resolution what addresses there are)
// by `rule`. The kernel takes the low half of the protocol. Programs that try Multipath TCP first go on
// without it when they hear that there is none.
void add_sockets(Rules& rules, SocketRule rule) {
  const std::uint32_t action = rule == SocketRule::kNotify ? SCMP_ACT_NOTIFY : SCMP_ACT_ALLOW;
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(socket), equal(0, AF_UNIX));
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(socketpair), equal(0, AF_UNIX));
  for (const int family : {AF_INET, AF_INET6}) {
    const scmp_arg_cmp of_family = equal(0, static_cast<std::uint64_t>(family));
    for (const std::uint64_t protocol : {IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP})
      rules.add(action, SCMP_SYS(socket), of_family, masked_equal(2, kInt, protocol));
    rules.add(SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket), of_family, masked_equal(2, kInt, kMptcp));
  }
  rules.add(action, SCMP_SYS(socket), equal(0, AF_NETLINK), equal(2, 0));
}

Result<SeccompProgram> exported(scmp_filter_ctx context) {
  const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file) return fail_errno(Component::kWorker, "seccomp: memfd", errno);
  if (const int result = ::seccomp_export_bpf(context, file.get()); result < 0) {
    return fail_errno(Component::kWorker, "seccomp: export", -result);
  }
  const off_t bytes = ::lseek(file.get(), 0, SEEK_END);
  SeccompProgram program(static_cast<std::size_t>(bytes) / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), static_cast<std::size_t>(bytes), 0) != bytes) {
    return fail_errno(Component::kWorker, "seccomp: read", errno);
  }
  return program;
}

}  // namespace

Result<SeccompProgram> make_filter(SocketRule rule, OwnListeners listeners) {
  STERNA_ASSERT(rule == SocketRule::kAllow || listeners == OwnListeners::kTraced);
  const Filter filter(::seccomp_init(SCMP_ACT_ERRNO(EPERM)), &::seccomp_release);
  if (!filter) return fail(Code::kInternal, Component::kWorker, "seccomp_failed", "seccomp_init failed");
  // A binary search over the numbers instead of one comparison after the other.
  ::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  ::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
  Rules rules(filter.get());
  for (const char* name : kAllowedCalls) rules.allow(name);
  add_what_is_traced(rules, listeners);
  add_processes(rules);
  add_shared_stores(rules);
  add_limits(rules);
  add_sockets(rules, rule);
  if (rules.error() != 0) return fail_errno(Component::kWorker, "seccomp: rules", rules.error());
  return exported(filter.get());
}

int install_filter(const SeccompProgram& program, SocketRule rule, Threads threads) {
  const sock_fprog wanted{static_cast<unsigned short>(program.size()),
                          const_cast<sock_filter*>(program.data())};
  unsigned flags = rule == SocketRule::kNotify ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0U;
  // With TSYNC alone the answer could be a listener or the id of a thread that cannot follow.
  if (threads == Threads::kAll) flags |= SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &wanted);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace sterna::sandbox
