#include "zygote/parent.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "zygote/packet.h"
#include "zygote/parent_words.h"

namespace sterna::zygote {
namespace {

alignas(64) char scratch[kScratchBytes];

void say(int orders, const Said& said) {
  send_packet(orders, {reinterpret_cast<const char*>(&said), sizeof said});
}

void close_all(const RawPacket& raw) {
  for (std::size_t i = 0; i < raw.fd_count; ++i) ::close(raw.fds[i]);
}

// In the forked process: waits until init has moved it to the replica's namespaces. A process keeps its pid
// for life, so the replica is a child of this one.
pid_t fork_inside(int orders, const RawPacket& raw) {
  Said here{.kind = Said::Kind::kHere, .scratch = reinterpret_cast<std::uint64_t>(scratch)};
  for (std::size_t i = kReplicaFds; i < raw.fd_count; ++i) here.joined[i - kReplicaFds] = raw.fds[i];
  say(orders, here);
  char word = 0;
  RawPacket none;
  if (receive_raw(orders, &word, sizeof word, none) <= 0 || word != kGo) ::_exit(1);
  return ::fork();
}

WorkerFds become_replica(int orders, const RawPacket& raw) {
  say(orders, {.kind = Said::Kind::kRuns});
  ::close(orders);
  for (std::size_t i = kReplicaFds; i < raw.fd_count; ++i) ::close(raw.fds[i]);
  const int output = raw.fds[2];
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  return {.socket = raw.fds[0], .claim = raw.fds[1], .output = output};
}

}  // namespace

Result<std::optional<WorkerFds>> fork_replica(int orders, const ForkHooks& hooks) {
  char word = 0;
  RawPacket raw;
  const std::ptrdiff_t got = receive_raw(orders, &word, sizeof word, raw);
  if (got <= 0) return fail_errno(Component::kWorker, "receive an order to fork", got < 0 ? errno : EPIPE);
  if (word != kFork || raw.fd_count < kReplicaFds) {
    close_all(raw);
    return fail_errno(Component::kWorker, "receive an order to fork", EPROTO);
  }
  if (hooks.before) hooks.before();
  const pid_t own = ::getpid();
  const pid_t forked = ::fork();
  if (forked == 0) {
    const pid_t replica = fork_inside(orders, raw);
    if (replica != 0) ::_exit(replica < 0 ? 1 : 0);
    if (::getpid() == own)
      ::_exit(1);  // libraries would not see the fork, and draw the parent's random numbers
    const WorkerFds fds = become_replica(orders, raw);
    if (hooks.after_replica) hooks.after_replica();
    return fds;
  }
  if (hooks.after_parent) hooks.after_parent();
  close_all(raw);
  while (forked > 0 && ::waitpid(forked, nullptr, 0) < 0 && errno == EINTR) {
  }
  say(orders, {.kind = Said::Kind::kDone});
  return std::nullopt;
}

}  // namespace sterna::zygote
