// A worker that is a program of its own: what has threads from its first moment on cannot be forked nor enter
// a sandbox. So it begins inside one, as the function's user, without a privilege and under the filter;
// whatever threads it makes inherit that. What needs privileges when the order comes is done by the sandbox's
// init.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "zygote/adopt.h"
#include "zygote/child_steps.h"
#include "zygote/packet.h"

namespace sterna::zygote {
namespace {

using sandbox::StepError;

[[noreturn]] void become_program(const ChildSetup& setup, int control, int orders) {
  ::sigprocmask(SIG_SETMASK, &setup.signal_mask, nullptr);
  int listener = -1;
  const StepError error = setup.isolation == sandbox::Isolation::kNone
                              ? sandbox::become_inner_user()
                              : sandbox::become_function(setup.plain_filter, sandbox::SocketRule::kAllow,
                                                         sandbox::Files::kOwn, &listener);
  if (error) give_up(control, error);
  const int moved = ::fcntl(orders, F_DUPFD_CLOEXEC, kOrdersFd + 1);
  if (moved < 0 || ::dup2(moved, kOrdersFd) < 0) give_up(control, {"keep the socket", errno});
  ::fcntl(control, F_SETFD, 0);
  close_from(kOrdersFd + 1);
  const std::optional<Program>& program = setup.config.program;
  STERNA_ASSERT(program.has_value());
  ::execve(program->path.c_str(), setup.program_argv.data(), setup.program_env.data());
  give_up(control, {"start the runtime's program", errno});
}

// The user map is written from outside, by the zygote.
void await_map(int control) {
  char word = 0;
  RawPacket raw;
  if (receive_raw(control, &word, sizeof word, raw) <= 0) ::_exit(0);
}

// False: the program has ended before an order came.
bool await_order(int control, pid_t worker) {
  const int process = static_cast<int>(::syscall(SYS_pidfd_open, worker, 0));
  if (process < 0) give_up(control, {"watch the program", errno});
  pollfd polled[] = {{control, POLLIN, 0}, {process, POLLIN, 0}};
  while (::poll(polled, 2, -1) < 0) {
    if (errno != EINTR) give_up(control, {"wait for the order", errno});
  }
  ::close(process);
  return polled[0].revents != 0;
}

// Does the privileged part, gives its own privileges away, and lets the program go on.
void carry_out_order(const ChildSetup& setup, int control, int orders, pid_t worker) {
  sandbox::EnterOrder order;
  RawPacket raw;
  receive_order(control, order, raw);
  if (const StepError error = filter_network(order, raw)) give_up(control, error);
  if (const StepError error = mount_secrets(order, raw)) give_up(control, error);
  if (const StepError error = sandbox::furnish(order, raw.fds[0], worker)) give_up(control, error);
  if (const StepError error = sandbox::drop_init(setup.isolation)) give_up(control, error);
  Handover handover;
  if (order.network == Network::kEgress) {
    const sandbox::SeccompProgram& filter = setup.notify_filter;
    if (filter.size() > kMaxFilter) give_up(control, {"hand the filter over", E2BIG});
    handover.filter_length = static_cast<std::uint32_t>(filter.size());
    std::memcpy(handover.filter, filter.data(), filter.size() * sizeof filter[0]);
  }
  send_packet(orders, {reinterpret_cast<const char*>(&handover), sizeof handover},
              {&raw.fds[1], kOrderFds - 1});
}

}  // namespace

void run_program_init(const ChildSetup& setup, int control) {
  await_map(control);
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    give_up(control, {"make a socket", errno});
  const pid_t worker = ::fork();
  if (worker < 0) give_up(control, {"fork the worker", errno});
  if (worker == 0) become_program(setup, control, pair[1]);
  ::close(pair[1]);
  set_standard_fds(-1);
  if (await_order(control, worker)) carry_out_order(setup, control, pair[0], worker);
  close_from(kControlSocketFd + 1);
  run_init(control, worker);
}

}  // namespace sterna::zygote
