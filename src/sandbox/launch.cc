#include "sandbox/launch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/cgroup.h"

namespace sterna::sandbox {
namespace {

constexpr std::size_t kMaxFds = 8;
constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
constexpr int kAside = 64;  // above every number that a child is given

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& each : strings) out.push_back(const_cast<char*>(each.c_str()));
  out.push_back(nullptr);
  return out;
}

struct Order {
  const Launch& launch;
  char* const* argv;
  char* const* env;
  pid_t parent;
  volatile int error = 0;
};

// Puts every descriptor at its number. First aside, so that none is overwritten before it was copied.
bool place_fds(const Launch& launch) {
  int aside[kMaxFds] = {};
  int highest = 2;
  for (std::size_t i = 0; i < launch.fds.size(); ++i) {
    aside[i] = ::fcntl(launch.fds[i].first, F_DUPFD_CLOEXEC, kAside);
    if (aside[i] < 0) return false;
  }
  for (std::size_t i = 0; i < launch.fds.size(); ++i) {
    if (::dup2(aside[i], launch.fds[i].second) < 0) return false;
    highest = std::max(highest, launch.fds[i].second);
  }
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, 0) < 0) return false;
  return ::close_range(static_cast<unsigned>(highest) + 1, ~0U, 0) == 0;
}

// Between clone and exec: the parent's memory is borrowed and its thread stands still, so only system calls.
int exec_child(void* argument) {
  Order& order = *static_cast<Order*>(argument);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // Out of the terminal's reach: its Ctrl-C is for the server, which drains, and needs its helpers for that.
  ::setsid();
  const bool tied =
      ::prctl(PR_SET_PDEATHSIG, order.launch.death_signal, 0, 0, 0) == 0 && ::getppid() == order.parent;
  const int join = join_cgroups(order.launch.join_fds.data(), order.launch.join_fds.size());
  if (tied && join == 0 && place_fds(order.launch)) ::execvpe(order.argv[0], order.argv, order.env);
  order.error = join != 0 ? join : errno != 0 ? errno : ECHILD;
  ::_exit(127);
}

}  // namespace

Result<pid_t> launch(const Launch& launch) {
  STERNA_ASSERT(launch.fds.size() <= kMaxFds);
  const auto argv = pointers(launch.argv);
  const auto env = pointers(launch.env);
  Order order{launch, argv.data(), env.data(), ::getpid(), 0};
  // No signal handler of ours may run in the child while it borrows this memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  // What vfork does, with a stack of its own: nothing of our pages is copied, however large the server is.
  alignas(16) char stack[kStackBytes];
  const pid_t pid = ::clone(exec_child, stack + kStackBytes, CLONE_VM | CLONE_VFORK | SIGCHLD, &order);
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return fail_errno(Component::kPool, "fork " + launch.argv[0], fork_error);
  if (order.error == 0) return pid;
  ::waitpid(pid, nullptr, 0);
  return fail_errno(Component::kPool, "start " + launch.argv[0], order.error);
}

}  // namespace sterna::sandbox
