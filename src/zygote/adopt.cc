#include "zygote/adopt.h"

#include <unistd.h>

#include <cerrno>
#include <memory>

#include "sandbox/seccomp.h"
#include "zygote/child_steps.h"
#include "zygote/packet.h"

namespace sterna::zygote {
namespace {

constexpr std::size_t kHandedFds = kOrderFds - 1;

// The answer is the listener, or -1 when the function needs none.
Result<int> restrict_network(const Handover& handover) {
  if (handover.filter_length == 0) return -1;
  if (handover.filter_length > kMaxFilter) return fail_errno(Component::kWorker, "take the filter", EPROTO);
  const sandbox::SeccompProgram filter(handover.filter, handover.filter + handover.filter_length);
  const int listener = sandbox::install_filter(filter, sandbox::SocketRule::kNotify, sandbox::Threads::kAll);
  if (listener < 0) return fail_errno(Component::kWorker, "install the network's filter", -listener);
  return listener;
}

}  // namespace

Result<std::optional<Adopted>> adopt() {
  const UniqueFd control(kControlSocketFd);
  const UniqueFd orders(kOrdersFd);
  send_note(control.get(), {ChildNote::Kind::kPrepared, 0, {}});
  const auto handover = std::make_unique<Handover>();
  RawPacket raw;
  const std::ptrdiff_t got = receive_raw(orders.get(), handover.get(), sizeof *handover, raw);
  if (got == 0) return std::nullopt;
  if (got != sizeof *handover || raw.fd_count != kHandedFds)
    return fail_errno(Component::kWorker, "receive the handover", got < 0 ? errno : EPROTO);
  Adopted adopted{UniqueFd(raw.fds[0]), UniqueFd(raw.fds[1])};
  const UniqueFd output(raw.fds[2]);
  if (!set_standard_fds(output.get())) return fail_errno(Component::kWorker, "set standard output", errno);
  const auto listener = restrict_network(*handover);
  if (!listener) return std::unexpected(listener.error());
  // Whoever holds the listener decides: it must not stay here.
  const UniqueFd handed(*listener);
  send_note(control.get(), {ChildNote::Kind::kEntered, 0, {}}, {&*listener, handed ? 1U : 0U});
  return adopted;
}

}  // namespace sterna::zygote
