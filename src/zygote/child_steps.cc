#include "zygote/child_steps.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/packet_filter.h"
#include "sandbox/secrets.h"

namespace sterna::zygote {

void send_note(int socket, const ChildNote& note, std::span<const int> fds) {
  send_packet(socket, {reinterpret_cast<const char*>(&note), sizeof note}, fds);
}

void receive_order(int control, sandbox::EnterOrder& order, RawPacket& raw) {
  const std::ptrdiff_t got = receive_raw(control, &order, sizeof order, raw);
  if (got == 0) ::_exit(0);  // the zygote needs no more spares, or is gone
  const bool whole = raw.fd_count >= kOrderFds && raw.fd_count <= kMaxOrderFds;
  if (got != sizeof order || !whole) give_up(control, {"receive the order", got < 0 ? errno : EPROTO});
}

sandbox::StepError filter_network(const sandbox::EnterOrder& order, const RawPacket& raw) {
  if (order.filtered == 0) return {};
  if (raw.fd_count <= kOrderFds) return {"receive the network's filter", EPROTO};
  return sandbox::install_packet_filter(raw.fds[kOrderFds]);
}

sandbox::StepError mount_secrets(const sandbox::EnterOrder& order, const RawPacket& raw) {
  const std::size_t place = kOrderFds + order.filtered;
  return raw.fd_count > place ? sandbox::mount_secrets(raw.fds[place]) : sandbox::StepError{};
}

void give_up(int socket, const sandbox::StepError& error) {
  ChildNote note{ChildNote::Kind::kFailed, error.error_number, {}};
  std::strncpy(note.step, error.step, sizeof note.step - 1);
  send_note(socket, note);
  ::_exit(kExitNotEntered);
}

void close_from(unsigned first) {
  ::close_range(first, ~0U, 0);
}

bool set_standard_fds(int output) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return false;
  const int out = output < 0 ? null : output;
  const bool ok = ::dup2(null, 0) == 0 && ::dup2(out, 1) == 1 && ::dup2(out, 2) == 2;
  ::close(null);
  return ok;
}

// User code is not pid 1 itself because the kernel ignores an init's own signals: abort() or kill(getpid())
// would not end it.
void run_init(int control, pid_t worker) {
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

}  // namespace sterna::zygote
