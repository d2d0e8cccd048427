#include "zygote/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/cgroup.h"
#include "sandbox/secrets.h"
#include "zygote/packet.h"

namespace sterna::zygote {
namespace {

using sandbox::EnterOrder;
using sandbox::StepError;

// The numbers of a worker's descriptors.
constexpr int kSocketFd = 3;
constexpr int kClaimFd = 4;
constexpr int kOutputFd = 5;
constexpr unsigned kFirstFree = 6;

constexpr int kExitNotEntered = 126;

void send_note(int socket, const ChildNote& note, std::span<const int> fds = {}) {
  send_packet(socket, {reinterpret_cast<const char*>(&note), sizeof note}, fds);
}

[[noreturn]] void give_up(int socket, const StepError& error) {
  ChildNote note{ChildNote::Kind::kFailed, error.error_number, {}};
  std::strncpy(note.step, error.step, sizeof note.step - 1);
  send_note(socket, note);
  ::_exit(kExitNotEntered);
}

void close_from(unsigned first) {
  ::close_range(first, ~0U, 0);
}

// Standard input, and output and error to `output`, or to nowhere when that is -1.
bool set_standard_fds(int output) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return false;
  const int out = output < 0 ? null : output;
  const bool ok = ::dup2(null, 0) == 0 && ::dup2(out, 1) == 1 && ::dup2(out, 2) == 2;
  ::close(null);
  return ok;
}

// Puts the worker's descriptors at their numbers. `control` is moved out of the way first; answers its new
// number, -1 on failure.
int arrange_fds(const int (&received)[kOrderFds - 1], int control, int* listener) {
  int high[kOrderFds - 1];
  for (std::size_t i = 0; i < kOrderFds - 1; ++i) {
    high[i] = ::fcntl(received[i], F_DUPFD_CLOEXEC, 32);
    if (high[i] < 0) return -1;
  }
  const int moved = ::fcntl(control, F_DUPFD_CLOEXEC, 32);
  if (*listener >= 0) *listener = ::fcntl(*listener, F_DUPFD_CLOEXEC, 32);
  if (moved < 0) return -1;
  if (::dup3(high[0], kSocketFd, O_CLOEXEC) < 0 || ::dup3(high[1], kClaimFd, O_CLOEXEC) < 0 ||
      ::dup3(high[2], kOutputFd, O_CLOEXEC) < 0) {
    return -1;
  }
  return moved;
}

[[noreturn]] void run_worker(const ChildSetup& setup, int control) {
  ::sigprocmask(SIG_SETMASK, &setup.signal_mask, nullptr);
  if (setup.config.after_fork_child) setup.config.after_fork_child();
  send_note(control, {ChildNote::Kind::kPrepared, 0, {}});

  EnterOrder order;
  RawPacket raw;
  const std::ptrdiff_t got = receive_raw(control, &order, sizeof order, raw);
  if (got == 0) ::_exit(0);  // the zygote needs no more spares, or is gone
  const bool has_secrets = raw.fd_count == kOrderFds + 1;
  if (got != sizeof order || (raw.fd_count != kOrderFds && !has_secrets))
    give_up(control, {"receive the order", got < 0 ? errno : EPROTO});

  const bool notify = order.network == Network::kEgress;
  int listener = -1;
  if (!set_standard_fds(raw.fds[3])) give_up(control, {"set standard output", errno});
  if (has_secrets) {
    if (const StepError error = sandbox::mount_secrets(raw.fds[kOrderFds])) give_up(control, error);
  }
  if (const StepError error =
          sandbox::enter(order, raw.fds[0], notify ? setup.notify_filter : setup.plain_filter, &listener)) {
    give_up(control, error);
  }
  const int moved = arrange_fds({raw.fds[1], raw.fds[2], raw.fds[3]}, control, &listener);
  if (moved < 0) give_up(control, {"arrange descriptors", errno});
  send_note(moved, {ChildNote::Kind::kEntered, 0, {}}, {&listener, listener >= 0 ? 1U : 0U});
  close_from(kFirstFree);
  ::_exit(setup.child_main({kSocketFd, kClaimFd, kOutputFd}));
}

// Pid 1: takes in orphans, tells how the worker ended, and with its own end ends everything in the namespace.
// User code is not pid 1 itself because the kernel ignores an init's own signals: abort() or kill(getpid())
// would not end it.
[[noreturn]] void run_init(int control, pid_t worker) {
  while (true) {
    int status = 0;
    const pid_t ended = ::wait4(-1, &status, 0, nullptr);
    if (ended == worker) {
      send_note(control, {ChildNote::Kind::kExited, status, {}});
      ::_exit(0);
    }
    if (ended < 0 && errno != EINTR) ::_exit(kExitNotEntered);
  }
}

[[noreturn]] void run_child(const ChildSetup& setup, int socket, std::span<const int> cgroup_fds,
                            sandbox::NetworkSpace network) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (const int error = sandbox::join_cgroups(cgroup_fds.data(), cgroup_fds.size())) {
    give_up(socket, {"join the cgroup", error});
  }
  if (socket != kSocketFd && ::dup2(socket, kSocketFd) < 0) give_up(socket, {"keep the socket", errno});
  close_from(kSocketFd + 1);
  ::setsid();
  const sandbox::SandboxPlan defaults;
  if (const StepError error = sandbox::prepare(setup.root_dir.c_str(), network, defaults.tmp_bytes)) {
    give_up(kSocketFd, error);
  }
  // The C library's fork, so that its idea of the process is right again after the bare clone.
  const pid_t worker = ::fork();
  if (worker < 0) give_up(kSocketFd, {"fork the worker", errno});
  if (worker == 0) run_worker(setup, kSocketFd);
  if (const StepError error = sandbox::drop_init()) give_up(kSocketFd, error);
  set_standard_fds(-1);
  run_init(kSocketFd, worker);
}

}  // namespace

pid_t clone_child(const ChildSetup& setup, int socket, std::span<const int> cgroup_fds,
                  sandbox::NetworkSpace network) {
  // The C library has no call for this; with no stack given it is a fork.
  const long pid =
      ::syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) run_child(setup, socket, cgroup_fds, network);
  return pid < 0 ? -errno : static_cast<pid_t>(pid);
}

}  // namespace sterna::zygote
