#include "zygote/brood.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "sandbox/files.h"
#include "sandbox/packet_filter.h"
#include "sandbox/tracee.h"
#include "zygote/packet.h"
#include "zygote/parent_words.h"

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

// One more process than the function's own: init.
sandbox::CgroupLimits limits_of(const sandbox::SandboxPlan& plan) {
  return {.memory_bytes = plan.memory_bytes,
          .cpus = plan.cpus,
          .pids = std::uint64_t{plan.max_pids} + 1,
          .io_bytes_per_second = plan.io_bytes_per_second};
}

}  // namespace

Brood::Brood(const ChildSetup& setup, sandbox::CgroupLayout cgroups, sandbox::Privilege privilege,
             std::uint32_t program_uids, ReportSink report)
    : setup_(setup),
      cgroups_(std::move(cgroups)),
      privilege_(privilege),
      program_uids_(program_uids),
      sink_(std::move(report)),
      replicas_([this](Report each, int listener) { tell(std::move(each), listener); },
                [this](sandbox::Cgroup group) { leave(std::move(group)); }) {
  sandbox::remove_orphan_groups(cgroups_);
}

Brood::~Brood() {
  for (const auto& child : children_) ::kill(child->init, SIGKILL);
  for (const auto& child : children_) {
    ::waitpid(child->init, nullptr, 0);
    if (child->group) child->group->remove();
  }
  replicas_.remove_groups();
  for (auto& group : leaving_) group.remove();
}

void Brood::set_spares(const Spares& spares) {
  spares_[static_cast<std::size_t>(spares.network)] = std::min(spares.count, kMaxSpares);
}

void Brood::start(const Start& start, const std::vector<UniqueFd>& fds) {
  const auto refuse = [&](std::string why) {
    sink_(Exited{start.worker, std::nullopt, std::nullopt, false, std::move(why)}, -1);
  };
  if (fds.size() != kOrderFds - 1 && fds.size() != kOrderFds)
    return refuse("start: three descriptors are needed, or four with secrets");
  const bool taken =
      std::ranges::any_of(children_, [&](const auto& child) { return child->worker == start.worker; }) ||
      replicas_.has(start.worker);
  if (taken || start.worker.empty()) return refuse("start: the worker's name is empty or in use");
  if (!start.parent.empty()) {
    if (auto status = start_replica(start, fds); !status) refuse(status.error().detail);
    return;
  }
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

// A sandbox in which nobody is to live any more ends as a whole, whatever those in it have done about their
// own ends.
void Brood::kill(const std::string& worker) {
  const std::optional<std::string> parent = replicas_.kill(worker);
  for (const auto& child : children_) {
    if (child->worker != parent.value_or(worker)) continue;
    child->killed = child->killed || !parent;
    const bool deserted = (child->killed || child->told) && replicas_.living(child->worker) == 0;
    if (!deserted && parent) continue;
    if (deserted)
      ::kill(child->init, SIGKILL);
    else
      send_signal(child->worker_process, SIGKILL);  // its replicas live on
    if (child->group) child->group->kill(deserted ? 0 : child->init);
  }
}

// Whatever is in it has outlived its worker.
void Brood::leave(sandbox::Cgroup group) {
  if (group.remove()) return;
  group.kill();
  leaving_.push_back(std::move(group));
}

Status Brood::start_replica(const Start& start, const std::vector<UniqueFd>& fds) {
  // What it said when it entered may still be unread: it has paused since.
  const auto parent = std::ranges::find_if(children_, [&](const auto& child) {
    return child->worker == start.parent && child->may_pause && !child->told;
  });
  if (parent == children_.end() || fds.size() != kReplicaFds) return failed("find the parent", ESRCH);
  if (children_.size() + replicas_.size() >= kMaxChildren) return failed("fork", EAGAIN);
  std::optional<sandbox::Cgroup> group;
  if (cgroups_.version != sandbox::CgroupVersion::kNone) {
    auto made = make_group(limits_of(start.plan));
    if (!made) return std::unexpected(made.error());
    group.emplace(std::move(*made));
  }
  const auto filter = filter_for(start.plan);
  if (!filter) return std::unexpected(filter.error());
  auto watch = group ? group->watch_oom_kills() : std::nullopt;
  if (auto status = replicas_.start(start, (*parent)->socket.get(), fds, *filter, std::move(group)); !status)
    return status;
  oom_guard_.add(start.worker, std::move(watch));
  return {};
}

Result<sandbox::Cgroup> Brood::make_group(const sandbox::CgroupLimits& limits) {
  auto group = sandbox::Cgroup::make(cgroups_, sandbox::group_name(::getpid(), next_leaf_++));
  if (!group) return std::unexpected(group.error());
  if (auto status = group->set(limits); !status) {
    group->remove();
    return std::unexpected(status.error());
  }
  return group;
}

// None without network egress. The machine's own addresses are those of now.
Result<UniqueFd> Brood::filter_for(const sandbox::SandboxPlan& plan) const {
  if (plan.network != Network::kEgress) return UniqueFd();
  const auto resolvers =
      sandbox::resolvers_of(sandbox::read_file(setup_.root_dir + "/etc/resolv.conf").value_or(""));
  return sandbox::pack_filter(sandbox::egress_rules(plan.egress, resolvers, sandbox::own_addresses()));
}

// A failure before the order is sent leaves the child a spare, but its maps may be written: it is then not
// good for another function.
Status Brood::assign(Child& child, const Start& start, const std::vector<UniqueFd>& fds) {
  const auto access =
      start.plan.bundle_writable ? sandbox::BundleAccess::kWritable : sandbox::BundleAccess::kReadOnly;
  const UniqueFd bundle(sandbox::open_bundle(start.plan.bundle_dir.c_str(), access));
  if (bundle.get() < 0) return failed("open the bundle", -bundle.get());
  const auto discard = [&](std::unexpected<Error> error) {
    ::kill(child.init, SIGKILL);
    child.state = State::kStarting;
    return error;
  };
  if (child.group) {
    auto status = child.group->set(limits_of(start.plan));
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
  // Without root the map of a sandbox within the sandbox could not be written.
  if (privilege_ != sandbox::Privilege::kRoot || !sandbox::Tracee::supported()) order.may_pause = 0;
  order.isolation = setup_.isolation;
  if (setup_.isolation == sandbox::Isolation::kNone) order.may_pause = 0;
  child.may_pause = order.may_pause != 0;
  // Without root init is the same user, and counts.
  if (privilege_ == sandbox::Privilege::kUser) ++order.max_pids;
  auto filter = filter_for(start.plan);
  if (!filter) return discard(std::unexpected(filter.error()));
  // Secrets stand behind the filter.
  std::vector<int> order_fds = {bundle.get()};
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (i == kOrderFds - 1 && *filter) order_fds.push_back(filter->get());
    order_fds.push_back(fds[i].get());
  }
  if (fds.size() < kOrderFds && *filter) order_fds.push_back(filter->get());
  if (const int error =
          send_packet(child.socket.get(), {reinterpret_cast<const char*>(&order), sizeof order}, order_fds)) {
    return discard(failed("send the order", error));
  }
  child.worker = start.worker;
  child.state = State::kStarting;
  oom_guard_.add(child.worker, std::exchange(child.watch, std::nullopt));
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
  if (!setup_.own_users) return 0;
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
  if (children_.size() + replicas_.size() >= kMaxChildren) return failed("fork", EAGAIN);
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
    // The usual limits, so that at the start mostly nothing is left to write.
    auto group = make_group(limits_of(sandbox::SandboxPlan()));
    if (!group) return std::unexpected(group.error());
    child->group = std::make_unique<sandbox::Cgroup>(std::move(*group));
    child->watch = child->group->watch_oom_kills();
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
    if (got == sizeof note) return take_note(*child, note, raw);
    if (got >= 0 || errno != EAGAIN) child->socket.reset();  // closed: the end is reaped
    return;
  }
}

void Brood::take_note(Child& child, const ChildNote& note, RawPacket& raw) {
  if (note.replica != 0) return replicas_.take_note(note, raw);
  const UniqueFd listener(raw.fd_count > 0 ? raw.fds[0] : -1);
  switch (note.kind) {
    case ChildNote::Kind::kPrepared:
      child.worker_pid = raw.sender;
      child.worker_process.reset(static_cast<int>(::syscall(SYS_pidfd_open, raw.sender, 0)));
      if (child.state == State::kPreparing) child.state = State::kPrepared;
      failures_ = 0;
      break;
    case ChildNote::Kind::kEntered:
      child.state = State::kRunning;
      tell(Started{child.worker, child.worker_pid, child.from_spare, {}}, listener.get());
      break;
    case ChildNote::Kind::kFailed:
      child.error = std::string(note.step) + ": " + std::strerror(note.value);
      break;
    case ChildNote::Kind::kExited:
      child.wait_status = note.value;
      if (replicas_.count(child.worker) > 0) {
        report_exit(child, note.value);
        child.told = true;
      }
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
    if (got != sizeof note) break;
    take_note(child, note, raw);
  }
  replicas_.lose(child.worker);
  if (child.worker.empty()) {
    if (child.state == State::kPreparing) ++failures_;
  } else if (!child.told) {
    report_exit(child, child.wait_status.value_or(init_status));
  }
  if (child.group) leave(std::move(*child.group));
}

void Brood::tell(Report report, int listener) {
  if (const auto* exited = std::get_if<Exited>(&report)) oom_guard_.remove(exited->worker);
  sink_(std::move(report), listener);
}

void Brood::report_exit(Child& child, int status) {
  tell(exit_of(child.worker, status, child.group.get(),
               child.state == State::kRunning ? std::string() : child.error),
       -1);
}

void Brood::end_killed(OomGuard::Time now) {
  for (const std::string& worker : oom_guard_.take_killed(now)) kill(worker);
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
