#include "sandbox/launch.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/unique_fd.h"
#include "sandbox/cgroup.h"

namespace sterna::sandbox {
namespace {

constexpr std::size_t kMaxFds = 8;
constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
// What vfork does, with a stack of its own: nothing of our pages is copied, however large the server is. The
// thread sanitizer's idea of the process does not survive shared memory.
#if __has_feature(thread_sanitizer)
constexpr int kCloneFlags = CLONE_VFORK | SIGCHLD;
#else
constexpr int kCloneFlags = CLONE_VM | CLONE_VFORK | SIGCHLD;
#endif
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
  int failure;  // the pipe that tells errno; exec closes it
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
  return ::close_range(static_cast<unsigned>(highest) + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

// Between clone and exec: the parent's memory is borrowed and its thread stands still, so only system calls.
int exec_child(void* argument) {
  const Order& order = *static_cast<const Order*>(argument);
  const int failure = ::fcntl(order.failure, F_DUPFD_CLOEXEC, kAside);
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
  const int error = join != 0 ? join : errno != 0 ? errno : ECHILD;
  ::_exit(::write(failure, &error, sizeof error) == sizeof error ? 127 : 126);
}

}  // namespace

Result<pid_t> launch(const Launch& launch) {
  STERNA_ASSERT(launch.fds.size() <= kMaxFds);
  const auto argv = pointers(launch.argv);
  const auto env = pointers(launch.env);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(Component::kPool, "pipe", errno);
  const UniqueFd failure(ends[0]);
  UniqueFd failure_end(ends[1]);
  Order order{launch, argv.data(), env.data(), ::getpid(), failure_end.get()};
  // No signal handler of ours may run in the child while it borrows this memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  alignas(16) char stack[kStackBytes];
  const pid_t pid = ::clone(exec_child, stack + kStackBytes, kCloneFlags, &order);
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return fail_errno(Component::kPool, "fork " + launch.argv[0], fork_error);
  failure_end.reset();
  int error = 0;
  if (::read(failure.get(), &error, sizeof error) != sizeof error) return pid;
  ::waitpid(pid, nullptr, 0);
  return fail_errno(Component::kPool, "start " + launch.argv[0], error);
}

}  // namespace sterna::sandbox
