#include "zygote/child.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/cgroup.h"
#include "zygote/child_steps.h"
#include "zygote/packet.h"
#include "zygote/parent_words.h"

namespace sterna::zygote {
namespace {

using sandbox::EnterOrder;
using sandbox::StepError;

// The numbers of a worker's descriptors.
constexpr int kSocketFd = kControlSocketFd;
constexpr int kClaimFd = 4;
constexpr int kOutputFd = 5;
constexpr int kPauseOrdersFd = 6;

// Puts the worker's descriptors at their numbers. `control` is moved out of the way first; answers its new
// number, -1 on failure.
int arrange_fds(const int (&received)[kOrderFds - 1], int control, int* orders, int* listener) {
  int high[kOrderFds - 1];
  for (std::size_t i = 0; i < kOrderFds - 1; ++i) {
    high[i] = ::fcntl(received[i], F_DUPFD_CLOEXEC, 32);
    if (high[i] < 0) return -1;
  }
  const int moved = ::fcntl(control, F_DUPFD_CLOEXEC, 32);
  if (*listener >= 0) *listener = ::fcntl(*listener, F_DUPFD_CLOEXEC, 32);
  if (*orders >= 0) *orders = ::fcntl(*orders, F_DUPFD_CLOEXEC, 32);
  if (moved < 0) return -1;
  if (::dup3(high[0], kSocketFd, O_CLOEXEC) < 0 || ::dup3(high[1], kClaimFd, O_CLOEXEC) < 0 ||
      ::dup3(high[2], kOutputFd, O_CLOEXEC) < 0) {
    return -1;
  }
  if (*orders >= 0) *orders = ::dup3(*orders, kPauseOrdersFd, O_CLOEXEC);
  return moved;
}

// `orders` leads to init.
[[noreturn]] void run_worker(const ChildSetup& setup, int control, int orders) {
  ::sigprocmask(SIG_SETMASK, &setup.signal_mask, nullptr);
  if (setup.config.after_fork_child) setup.config.after_fork_child();
  send_note(control, {ChildNote::Kind::kPrepared, 0, {}});

  EnterOrder order;
  RawPacket raw;
  receive_order(control, order, raw);

  const bool notify = order.network == Network::kEgress;
  int listener = -1;
  const char use[] = {order.may_pause != 0 ? kMayPause : kMayNotPause};
  send_packet(orders, {use, sizeof use});
  if (order.may_pause == 0) {
    ::close(orders);
    orders = -1;
  }
  if (!set_standard_fds(raw.fds[3])) give_up(control, {"set standard output", errno});
  if (const StepError error = filter_network(order, raw)) give_up(control, error);
  if (const StepError error = mount_secrets(order, raw)) give_up(control, error);
  if (const StepError error =
          sandbox::enter(order, raw.fds[0], notify ? setup.notify_filter : setup.plain_filter, &listener)) {
    give_up(control, error);
  }
  const int moved = arrange_fds({raw.fds[1], raw.fds[2], raw.fds[3]}, control, &orders, &listener);
  if (moved < 0) give_up(control, {"arrange descriptors", errno});
  send_note(moved, {ChildNote::Kind::kEntered, 0, {}}, {&listener, listener >= 0 ? 1U : 0U});
  close_from(static_cast<unsigned>(orders >= 0 ? orders : kOutputFd) + 1);
  ::_exit(setup.child_main({kSocketFd, kClaimFd, kOutputFd, orders}));
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
  if (const StepError error =
          sandbox::prepare(setup.root_dir.c_str(), network, defaults.tmp_bytes, setup.isolation)) {
    give_up(kSocketFd, error);
  }
  if (setup.config.program) run_program_init(setup, kSocketFd);
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    give_up(kSocketFd, {"make a socket", errno});
  // The C library's fork, so that its idea of the process is right again after the bare clone.
  const pid_t worker = ::fork();
  if (worker < 0) give_up(kSocketFd, {"fork the worker", errno});
  if (worker == 0) {
    ::close(pair[0]);
    run_worker(setup, kSocketFd, pair[1]);
  }
  if (const StepError error = sandbox::hide_init()) give_up(kSocketFd, error);
  ::close(pair[1]);
  set_standard_fds(-1);
  // Only the order tells whether init needs its privileges; no user code runs before that.
  char use = kMayNotPause;
  RawPacket raw;
  if (receive_raw(pair[0], &use, sizeof use, raw) > 0 && use == kMayPause)
    run_parent_init(setup, kSocketFd, pair[0], worker);
  ::close(pair[0]);
  if (const StepError error = sandbox::drop_init(setup.isolation)) give_up(kSocketFd, error);
  run_init(kSocketFd, worker);
}

}  // namespace

pid_t clone_child(const ChildSetup& setup, int socket, std::span<const int> cgroup_fds,
                  sandbox::NetworkSpace network) {
  // The C library has no call for this; with no stack given it is a fork.
  const int own_user = setup.own_users ? CLONE_NEWUSER : 0;
  const long pid =
      ::syscall(SYS_clone, own_user | CLONE_NEWPID | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) run_child(setup, socket, cgroup_fds, network);
  return pid < 0 ? -errno : static_cast<pid_t>(pid);
}

}  // namespace sterna::zygote
