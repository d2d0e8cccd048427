// Starting the zygote's process from a server that has threads.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "zygote/zygote_client.h"

namespace sterna::zygote {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& each : strings) out.push_back(const_cast<char*>(each.c_str()));
  out.push_back(nullptr);
  return out;
}

struct Launch {
  char* const* argv;
  char* const* env;
  int control;
  pid_t parent;
  volatile int error = 0;
};

// Between vfork and exec: the parent's memory is borrowed and its thread stands still, so only system calls.
[[noreturn]] void exec_child(Launch& launch) {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const bool ok = ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && ::getppid() == launch.parent &&
                  null >= 0 && ::dup2(null, 0) == 0 &&
                  // The same number would keep close-on-exec.
                  (launch.control == kControlFd ? ::fcntl(kControlFd, F_SETFD, 0) == 0
                                                : ::dup2(launch.control, kControlFd) == kControlFd) &&
                  ::close_range(kControlFd + 1, ~0U, 0) == 0;
  if (ok) ::execvpe(launch.argv[0], launch.argv, launch.env);
  launch.error = errno != 0 ? errno : ECHILD;
  ::_exit(127);
}

}  // namespace

Result<ZygoteClient> spawn_zygote(const std::vector<std::string>& argv, const std::vector<std::string>& env) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return fail_errno(Component::kPool, "socketpair", errno);
  }
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  const auto argv_pointers = pointers(argv);
  const auto env_pointers = pointers(env);
  Launch launch{argv_pointers.data(), env_pointers.data(), theirs.get(), ::getpid(), 0};
  // No signal handler of ours may run in the child while it borrows this memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  const pid_t pid = ::vfork();
  if (pid == 0) exec_child(launch);
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return fail_errno(Component::kPool, "fork the zygote", fork_error);
  if (launch.error != 0) {
    ::waitpid(pid, nullptr, 0);
    return fail_errno(Component::kPool, "start the zygote", launch.error);
  }
  return ZygoteClient(std::move(ours), pid);
}

}  // namespace sterna::zygote
