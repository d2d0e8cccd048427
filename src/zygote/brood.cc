#include "zygote/brood.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "sandbox/files.h"
#include "zygote/packet.h"

namespace sterna::zygote {
namespace {

using sandbox::NetworkSpace;

// After so many spares in a row that could not be prepared no more are made ahead; a start still tries.
constexpr std::uint32_t kMaxFailures = 3;

NetworkSpace space_of(Network network) {
  return network == Network::kHost ? NetworkSpace::kHost : NetworkSpace::kOwn;
}

std::unexpected<Error> failed(std::string_view step, int error) {
  return fail_errno(Component::kWorker, step, error);
}

}  // namespace

Brood::Brood(const ChildSetup& setup, sandbox::CgroupLayout cgroups, sandbox::Privilege privilege,
             std::uint32_t program_uids, ReportSink report)
    : setup_(setup),
      cgroups_(std::move(cgroups)),
      privilege_(privilege),
      program_uids_(program_uids),
      report_(std::move(report)) {
  sandbox::remove_orphan_groups(cgroups_);
}

Brood::~Brood() {
  for (const auto& child : children_) ::kill(child->init, SIGKILL);
  for (const auto& child : children_) {
    ::waitpid(child->init, nullptr, 0);
    if (child->group) child->group->remove();
  }
  for (auto& group : leaving_) group.remove();
}

void Brood::set_spares(const Spares& spares) {
  spares_[static_cast<std::size_t>(spares.network)] = std::min(spares.count, kMaxSpares);
}

void Brood::start(const Start& start, const std::vector<UniqueFd>& fds) {
  const auto refuse = [&](std::string why) {
    report_(Exited{start.worker, std::nullopt, std::nullopt, false, std::move(why)}, -1);
  };
  if (fds.size() != kOrderFds - 1 && fds.size() != kOrderFds)
    return refuse("start: three descriptors are needed, or four with secrets");
  const bool taken =
      std::ranges::any_of(children_, [&](const auto& child) { return child->worker == start.worker; });
  if (taken || start.worker.empty()) return refuse("start: the worker's name is empty or in use");
  const NetworkSpace space = space_of(start.plan.network);
  Child* child = find_spare(space);
  if (child == nullptr) {
    auto made = make(space);
    if (!made) return refuse(made.error().detail);
    child = *made;
  }
  child->from_spare = child->state == State::kPrepared;
  if (auto status = assign(*child, start, fds); !status) refuse(status.error().detail);
}

void Brood::kill(const std::string& worker) {
  for (const auto& child : children_) {
    if (child->worker != worker) continue;
    ::kill(child->init, SIGKILL);
  }
}

// A failure before the order is sent leaves the child a spare, but its maps may be written: it is then not
// good for another function.
Status Brood::assign(Child& child, const Start& start, const std::vector<UniqueFd>& fds) {
  const UniqueFd bundle(sandbox::open_bundle(start.plan.bundle_dir.c_str()));
  if (bundle.get() < 0) return failed("open the bundle", -bundle.get());
  const auto discard = [&](std::unexpected<Error> error) {
    ::kill(child.init, SIGKILL);
    child.state = State::kStarting;
    return error;
  };
  if (child.group) {
    const auto& plan = start.plan;
    // One more process than the function's own: init.
    auto status = child.group->set({plan.memory_bytes, plan.cpus, std::uint64_t{plan.max_pids} + 1});
    if (!status) return discard(std::unexpected(status.error()));
  }
  if (!setup_.config.program) {
    const int error = write_maps(child, start.plan.host_uid, start.plan.host_gid);
    if (error != 0) return discard(failed("write the user map", error));
  }
  auto order = sandbox::make_order(start.plan, child.group != nullptr && !cgroups_.memory.empty(),
                                   child.group != nullptr && !cgroups_.pids.empty());
  if (setup_.config.program && order.memory_limit == sandbox::MemoryLimit::kAddressSpace) {
    order.memory_limit = sandbox::MemoryLimit::kData;
  }
  // Without root init is the same user, and counts.
  if (privilege_ == sandbox::Privilege::kUser) ++order.max_pids;
  std::vector<int> order_fds = {bundle.get()};
  for (const UniqueFd& fd : fds) order_fds.push_back(fd.get());
  if (const int error =
          send_packet(child.socket.get(), {reinterpret_cast<const char*>(&order), sizeof order}, order_fds)) {
    return discard(failed("send the order", error));
  }
  child.worker = start.worker;
  child.state = State::kStarting;
  return {};
}

// Who a program is for the host must be settled before it starts: one thread of it could become another user,
// all of them could not. Each has a user of its own, so that functions stay strangers to each other.
Status Brood::admit_program(Child& child) {
  child.program_uid = free_program_uid();
  if (const int error = write_maps(child, child.program_uid, child.program_uid))
    return failed("write the user map", error);
  if (const int error = send_packet(child.socket.get(), "m")) return failed("admit the program", error);
  return {};
}

std::uint32_t Brood::free_program_uid() {
  static_assert(kMaxChildren < kProgramUids);
  while (true) {
    const std::uint32_t uid = program_uids_ + next_uid_;
    next_uid_ = (next_uid_ + 1) % kProgramUids;
    const bool used =
        std::ranges::any_of(children_, [uid](const auto& child) { return child->program_uid == uid; });
    if (!used) return uid;
  }
}

int Brood::write_maps(const Child& child, std::uint32_t uid, std::uint32_t gid) const {
  const bool root = privilege_ == sandbox::Privilege::kRoot;
  const auto map = [](const UniqueFd& file, std::uint32_t inner, std::uint32_t outer) {
    const std::string line = std::to_string(inner) + " " + std::to_string(outer) + " 1";
    return ::write(file.get(), line.data(), line.size()) < 0 ? errno : 0;
  };
  const int error = map(child.uid_map, sandbox::kInnerUid, root ? uid : 0);
  return error != 0 ? error : map(child.gid_map, sandbox::kInnerGid, root ? gid : 0);
}

Brood::Child* Brood::find_spare(NetworkSpace space) {
  Child* best = nullptr;
  for (const auto& child : children_) {
    if (child->space != space) continue;
    if (child->state == State::kPrepared) return child.get();
    if (child->state == State::kPreparing && best == nullptr) best = child.get();
  }
  return best;
}

Result<Brood::Child*> Brood::make(NetworkSpace space) {
  if (children_.size() >= kMaxChildren) return failed("fork", EAGAIN);
  auto child = std::make_unique<Child>();
  child->space = space;
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return failed("socketpair", errno);
  child->socket.reset(pair[0]);
  const UniqueFd theirs(pair[1]);
  const int on = 1;
  ::setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  ::fcntl(pair[0], F_SETFL, O_NONBLOCK);
  std::vector<int> join;
  if (cgroups_.version != sandbox::CgroupVersion::kNone) {
    auto group = sandbox::Cgroup::make(cgroups_, sandbox::group_name(::getpid(), next_leaf_++));
    if (!group) return std::unexpected(group.error());
    child->group = std::make_unique<sandbox::Cgroup>(std::move(*group));
    // The usual limits, so that at the start mostly nothing is left to write.
    const sandbox::SandboxPlan usual;
    if (auto status = child->group->set({usual.memory_bytes, usual.cpus, std::uint64_t{usual.max_pids} + 1});
        !status) {
      child->group->remove();
      return std::unexpected(status.error());
    }
    join = child->group->join_fds();
  }
  if (setup_.config.before_fork) setup_.config.before_fork();
  const pid_t init = clone_child(setup_, theirs.get(), join, space);
  if (setup_.config.after_fork_parent) setup_.config.after_fork_parent();
  if (child->group) child->group->close_join();
  if (init < 0) {
    if (child->group) child->group->remove();
    return failed("fork", -init);
  }
  child->init = init;
  // Opened now: once init has made itself unreadable, only root could.
  const std::string proc = "/proc/" + std::to_string(init);
  child->uid_map.reset(::open((proc + "/uid_map").c_str(), O_WRONLY | O_CLOEXEC));
  child->gid_map.reset(::open((proc + "/gid_map").c_str(), O_WRONLY | O_CLOEXEC));
  children_.push_back(std::move(child));
  Child* const made = children_.back().get();
  if (setup_.config.program) {
    if (Status admitted = admit_program(*made); !admitted) {
      ::kill(made->init, SIGKILL);  // and is reaped like every other
      return std::unexpected(admitted.error());
    }
  }
  return made;
}

std::vector<int> Brood::sockets() const {
  std::vector<int> fds;
  for (const auto& child : children_) {
    if (child->socket) fds.push_back(child->socket.get());
  }
  return fds;
}

void Brood::read_child(int socket) {
  for (const auto& child : children_) {
    if (child->socket.get() != socket || socket < 0) continue;
    ChildNote note;
    RawPacket raw;
    const std::ptrdiff_t got = receive_raw(socket, &note, sizeof note, raw);
    const UniqueFd listener(raw.fd_count > 0 ? raw.fds[0] : -1);
    if (got == sizeof note) return take_note(*child, note, raw.sender, listener.get());
    if (got >= 0 || errno != EAGAIN) child->socket.reset();  // closed: the end is reaped
    return;
  }
}

void Brood::take_note(Child& child, const ChildNote& note, pid_t sender, int listener) {
  switch (note.kind) {
    case ChildNote::Kind::kPrepared:
      child.worker_pid = sender;
      if (child.state == State::kPreparing) child.state = State::kPrepared;
      failures_ = 0;
      break;
    case ChildNote::Kind::kEntered:
      child.state = State::kRunning;
      report_(Started{child.worker, child.worker_pid, child.from_spare, {}}, listener);
      break;
    case ChildNote::Kind::kFailed:
      child.error = std::string(note.step) + ": " + std::strerror(note.value);
      break;
    case ChildNote::Kind::kExited:
      child.wait_status = note.value;
      break;
  }
}

void Brood::reap() {
  while (true) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, WNOHANG);
    if (ended <= 0) return;
    const auto found =
        std::ranges::find_if(children_, [&](const auto& child) { return child->init == ended; });
    if (found == children_.end()) continue;  // not ours: the runtime's
    const auto child = std::move(*found);
    children_.erase(found);
    bury(*child, status);
  }
}

void Brood::bury(Child& child, int init_status) {
  // Notes that came before the end are still in the socket.
  while (child.socket) {
    ChildNote note;
    RawPacket raw;
    const std::ptrdiff_t got = receive_raw(child.socket.get(), &note, sizeof note, raw);
    const UniqueFd listener(raw.fd_count > 0 ? raw.fds[0] : -1);
    if (got != sizeof note) break;
    take_note(child, note, raw.sender, listener.get());
  }
  const bool was_running = child.state == State::kRunning;
  const int status = child.wait_status.value_or(init_status);
  Exited exited{child.worker, std::nullopt, std::nullopt, false, was_running ? std::string() : child.error};
  if (WIFSIGNALED(status))
    exited.signal = WTERMSIG(status);
  else
    exited.code = WEXITSTATUS(status);
  if (child.group) {
    exited.oom = exited.signal == SIGKILL && child.group->oom_kills() > 0;
    if (!child.group->remove()) leaving_.push_back(std::move(*child.group));
  }
  if (child.worker.empty()) {
    if (child.state == State::kPreparing) ++failures_;
    return;
  }
  report_(std::move(exited), -1);
}

std::uint32_t Brood::wanted(NetworkSpace space) const {
  const auto of = [&](Network network) { return spares_[static_cast<std::size_t>(network)]; };
  if (space == NetworkSpace::kHost) return of(Network::kHost);
  return of(Network::kNone) + of(Network::kEgress);
}

std::uint32_t Brood::ready(NetworkSpace space) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(children_, [&](const auto& child) {
    return child->space == space && (child->state == State::kPrepared || child->state == State::kPreparing);
  }));
}

std::optional<NetworkSpace> Brood::lacking() const {
  if (failures_ >= kMaxFailures) return std::nullopt;
  for (const NetworkSpace space : {NetworkSpace::kOwn, NetworkSpace::kHost}) {
    if (ready(space) < wanted(space)) return space;
  }
  return std::nullopt;
}

bool Brood::bare() const {
  const auto space = lacking();
  return space && ready(*space) == 0;
}

bool Brood::tidy() {
  std::erase_if(leaving_, [](sandbox::Cgroup& group) { return group.remove(); });
  if (const auto space = lacking()) {
    if (!make(*space)) ++failures_;
  }
  return lacking().has_value() || !leaving_.empty();
}

}  // namespace sterna::zygote
