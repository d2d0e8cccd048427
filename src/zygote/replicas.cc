#include "zygote/replicas.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace sterna::zygote {

Exited exit_of(const std::string& worker, int status, const sandbox::Cgroup* group, std::string error) {
  Exited exited{worker, std::nullopt, std::nullopt, false, std::move(error)};
  if (WIFSIGNALED(status))
    exited.signal = WTERMSIG(status);
  else
    exited.code = WEXITSTATUS(status);
  exited.oom = exited.signal == SIGKILL && group != nullptr && group->oom_kills() > 0;
  return exited;
}

void send_signal(const UniqueFd& process, int signal) {
  ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
}

Status Replicas::start(const Start& start, int init_socket, const std::vector<UniqueFd>& fds,
                       const UniqueFd& filter, std::optional<sandbox::Cgroup> group) {
  const ForkOrder order{
      .replica = next_number_++, .network = start.plan.network, .tmp_bytes = start.plan.tmp_bytes};
  std::vector<int> sent;
  sent.reserve(fds.size());
  for (const UniqueFd& fd : fds) sent.push_back(fd.get());
  if (filter) sent.push_back(filter.get());
  if (group) std::ranges::copy(group->join_fds(), std::back_inserter(sent));
  const int error = send_packet(init_socket, {reinterpret_cast<const char*>(&order), sizeof order}, sent);
  if (group) group->close_join();
  if (error != 0) {
    if (group) leave_(std::move(*group));
    return fail_errno(Component::kWorker, "send the order to the parent", error);
  }
  replicas_.push_back({.number = order.replica,
                       .worker = start.worker,
                       .parent = start.parent,
                       .init = {},
                       .group = std::move(group),
                       .killed = false});
  return {};
}

// Its init's end takes along all that is in its namespace; whatever else is in its group goes too.
std::optional<std::string> Replicas::kill(const std::string& worker) {
  const auto found = std::ranges::find(replicas_, worker, &Replica::worker);
  if (found == replicas_.end()) return std::nullopt;
  std::string parent = found->parent;
  if (found->init) {
    found->killed = true;
    send_signal(found->init, SIGKILL);
    if (found->group) found->group->kill();
  } else {
    // Its order may never be carried out; if it is, the note finds nobody.
    const sandbox::Cgroup* const group = found->group ? &*found->group : nullptr;
    end(static_cast<std::size_t>(found - replicas_.begin()), exit_of(worker, SIGKILL, group, {}));
  }
  return parent;
}

void Replicas::take_note(const ChildNote& note, RawPacket& raw) {
  std::vector<UniqueFd> fds;
  fds.reserve(raw.fd_count);
  for (std::size_t i = 0; i < raw.fd_count; ++i) fds.emplace_back(raw.fds[i]);
  const auto found = std::ranges::find(replicas_, note.replica, &Replica::number);
  if (found == replicas_.end()) {
    if (note.kind == ChildNote::Kind::kEntered && !fds.empty()) send_signal(fds[0], SIGKILL);
    return;
  }
  const auto at = static_cast<std::size_t>(found - replicas_.begin());
  sandbox::Cgroup* const group = found->group ? &*found->group : nullptr;
  switch (note.kind) {
    case ChildNote::Kind::kEntered:
      if (!fds.empty()) found->init = std::move(fds[0]);
      return report_(Started{found->worker, raw.sender, false, {}}, fds.size() > 1 ? fds[1].get() : -1);
    case ChildNote::Kind::kFailed: {
      const std::string why = std::string(note.step) + ": " + std::strerror(note.value);
      return end(at, {found->worker, std::nullopt, std::nullopt, false, why});
    }
    case ChildNote::Kind::kExited:
      return end(at, exit_of(found->worker, note.value, group, {}));
    case ChildNote::Kind::kPrepared:
      break;
  }
}

void Replicas::lose(const std::string& parent) {
  for (std::size_t at = replicas_.size(); at-- > 0;) {
    if (replicas_[at].parent != parent) continue;
    end(at, exit_of(replicas_[at].worker, SIGKILL, nullptr, {}));
  }
}

void Replicas::end(std::size_t at, Exited exited) {
  if (replicas_[at].group) leave_(std::move(*replicas_[at].group));
  replicas_.erase(replicas_.begin() + static_cast<std::ptrdiff_t>(at));
  report_(std::move(exited), -1);
}

void Replicas::remove_groups() {
  for (Replica& replica : replicas_) {
    if (replica.group) replica.group->remove();
  }
}

bool Replicas::has(const std::string& worker) const {
  return std::ranges::find(replicas_, worker, &Replica::worker) != replicas_.end();
}

std::size_t Replicas::count(const std::string& parent) const {
  return static_cast<std::size_t>(std::ranges::count(replicas_, parent, &Replica::parent));
}

std::size_t Replicas::living(const std::string& parent) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      replicas_, [&](const Replica& replica) { return replica.parent == parent && !replica.killed; }));
}

}  // namespace sterna::zygote
