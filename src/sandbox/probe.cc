#include "sandbox/probe.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "sandbox/egress.h"
#include "sandbox/landlock.h"
#include "sandbox/packet_filter.h"

namespace sterna::sandbox {
namespace {

constexpr int kAllNamespaces =
    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

int end_at_once(void*) {
  ::_exit(0);
}

// Answers errno, 0 when a child with all namespaces can be made.
int try_namespaces() {
  alignas(16) char stack[std::size_t{16} * 1024];
  const pid_t pid = ::clone(end_at_once, stack + sizeof stack, kAllNamespaces | SIGCHLD, nullptr);
  if (pid < 0) return errno;
  ::waitpid(pid, nullptr, 0);
  return 0;
}

bool has_mount_calls() {
  // A bad descriptor is told from an unknown call.
  return ::mount_setattr(-1, "", 0, nullptr, 0) != 0 && errno != ENOSYS;
}

bool has_seccomp() {
  const std::uint32_t action = SECCOMP_RET_USER_NOTIF;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

}  // namespace

Probe probe(CgroupLayout cgroups, std::vector<std::string> warnings) {
  Probe found;
  found.cgroups = std::move(cgroups);
  found.warnings = std::move(warnings);
  const auto warn = [&](std::string text) { found.warnings.push_back(std::move(text)); };
  const int error = try_namespaces();
  found.namespaces = error == 0;
  found.mounts = has_mount_calls();
  found.seccomp = has_seccomp();
  found.own_users = ::geteuid() == 0;
  const bool pasta = egress_available();
  const bool filter = can_filter_packets();
  found.egress = pasta && filter;
  found.landlock = landlock_version();
  if (error != 0) {
    warn(std::string("namespaces cannot be made (") + std::strerror(error) +
         "): functions cannot run; allow user namespaces (user.max_user_namespaces, "
         "kernel.apparmor_restrict_unprivileged_userns)");
  }
  if (!found.mounts) warn("the kernel is older than Linux 5.12: functions cannot run");
  if (!found.seccomp) warn("the kernel has no seccomp with user notification: functions cannot run");
  if (!found.own_users)
    warn("not root: all functions are the same user for the host, kept apart by namespaces only");
  if (!filter) {
    warn(
        "packets cannot be filtered (nf_tables): functions with network egress have none, because nothing "
        "would keep them "
        "from private networks");
  }
  if (found.landlock == 0) warn("no Landlock (Linux 5.13): files are protected by mounts only");
  if (!pasta) {
    warn(
        "pasta is not installed (package passt) or /dev/net/tun may not be opened: functions with network "
        "egress have none");
  }
  if (found.cgroups.memory.empty()) {
    warn("no memory controller: memory is limited by each process's address space (RLIMIT_AS) only");
  }
  if (found.cgroups.pids.empty()) warn("no pids controller: processes are limited by RLIMIT_NPROC");
  if (found.cgroups.io.empty() || found.cgroups.disks.empty())
    warn("no io controller, or no disk that it knows: reading and writing disks is not limited");
  if (found.cgroups.cpu.empty()) warn("no cpu controller: the cpus limit is not enforced");
  return found;
}

Probe no_sandbox() {
  Probe none;
  none.isolation = Isolation::kNone;
  none.warnings.emplace_back(
      "THE SANDBOX IS OFF: the code of functions runs as a user of this machine, in its network and without "
      "limits; never serve strangers' code so");
  return none;
}

}  // namespace sterna::sandbox
