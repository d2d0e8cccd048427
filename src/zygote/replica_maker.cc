#include "zygote/replica_maker.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/refuse_descriptors.h"
#include "sandbox/cgroup.h"
#include "sandbox/landlock.h"
#include "sandbox/packet_filter.h"
#include "zygote/child_steps.h"
#include "zygote/confinement.h"

namespace sterna::zygote {
namespace {

using sandbox::StepError;

constexpr int kPatienceSeconds = 5;
constexpr int kTimerStepMicroseconds = 100'000;
constexpr int kFilterFd = kControlSocketFd + 1;

// An address in the replica's memory: for the kernel only.
void* there(std::uintptr_t address) {
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr)
}

// EINTR is the deadline's doing.
StepError here(const char* step) {
  return {step, errno == EINTR ? ETIMEDOUT : errno};
}

sandbox::NetworkSpace space_of(Network network) {
  return network == Network::kHost ? sandbox::NetworkSpace::kHost : sandbox::NetworkSpace::kOwn;
}

std::size_t namespaces_of(Network network) {
  return network == Network::kHost ? kMaxNamespaces - 1 : kMaxNamespaces;
}

// Where in an order's descriptors those of the control groups begin.
std::size_t first_group(const ForkOrder& order) {
  return order.filtered() ? kReplicaFds + 1 : kReplicaFds;
}

// A worker that does not do its part must not keep init for ever: every wait ends when this one runs.
class Deadline {
 public:
  Deadline() {
    struct sigaction action{};
    action.sa_handler = [](int) {};  // without SA_RESTART
    ::sigaction(SIGALRM, &action, nullptr);
    set({{0, kTimerStepMicroseconds}, {kPatienceSeconds, 0}});
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() { set({}); }

 private:
  static void set(const itimerval& timer) { ::setitimer(ITIMER_REAL, &timer, nullptr); }
};

// The worker that has paused is pid 2 of its namespace. What was drawn there ahead of the fork, such as the
// state of OpenSSL's generator, is known to belong to another process by its pid alone, wherever it lies in
// memory: so a replica must not be pid 2 of its own, and numbers are given in turn.
bool pass_over_the_parents_pid() {
  const pid_t spent = ::fork();
  if (spent == 0) ::_exit(0);
  return spent > 0;
}

// Pid 1 of the replica's namespace: holds it together until it is killed.
[[noreturn]] void run_replica_init(int socket, const ForkOrder& order, const RawPacket& raw) {
  // Out of the way of the numbers that they get.
  const int filter = order.filtered() ? ::fcntl(raw.fds[kReplicaFds], F_DUPFD_CLOEXEC, kFilterFd + 1) : -1;
  socket = ::fcntl(socket, F_DUPFD_CLOEXEC, kFilterFd + 1);
  if (socket < 0 || ::dup2(socket, kControlSocketFd) < 0) ::_exit(kExitNotEntered);
  socket = kControlSocketFd;
  if (order.filtered() && ::dup2(filter, kFilterFd) < 0) ::_exit(kExitNotEntered);
  close_from(order.filtered() ? kFilterFd + 1 : kFilterFd);
  ::setsid();
  ::signal(SIGCHLD, SIG_IGN);  // orphans leave by themselves
  if (const StepError error = sandbox::prepare_replica(space_of(order.network), order.tmp_bytes))
    give_up(socket, error);
  if (order.filtered()) {
    if (const StepError error = sandbox::install_packet_filter(kFilterFd)) give_up(socket, error);
  }
  if (!pass_over_the_parents_pid()) give_up(socket, {"pass over the parent's pid", errno});
  const std::size_t namespaces = namespaces_of(order.network);
  int fds[kMaxJoined];
  for (std::size_t i = 0; i < namespaces; ++i) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/ns/%s", kReplicaNamespaces[i].name);
    fds[i] = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fds[i] < 0) give_up(socket, {"open the namespaces", errno});
  }
  std::size_t count = namespaces;
  if (const int version = sandbox::landlock_version(); version > 0) {
    const int rules = sandbox::make_write_rules(version, sandbox::FunctionFiles::kReadOnly);
    if (rules < 0) give_up(socket, {"make the rules for files", -rules});
    fds[count++] = rules;
  }
  send_note(socket, {ChildNote::Kind::kPrepared, 0, {}}, {fds, count});
  if (const StepError error = sandbox::drop_init(sandbox::Isolation::kFull)) give_up(socket, error);
  set_standard_fds(-1);
  close_from(kControlSocketFd);
  while (true) ::pause();
}

// The new user namespace's owner must be the function's user, so that a fork of the worker has a right to
// it; and init itself must not become that user. So a process in between makes it, and ends.
[[noreturn]] void run_maker(int socket, const ForkOrder& order, const RawPacket& raw) {
  const std::size_t groups = first_group(order);
  if (const int error = sandbox::join_cgroups(raw.fds + groups, raw.fd_count - groups))
    give_up(socket, {"join the cgroup", error});
  // Capabilities stay: nobody is root in this namespace.
  if (::syscall(SYS_setresgid, sandbox::kInnerGid, sandbox::kInnerGid, sandbox::kInnerGid) != 0 ||
      ::syscall(SYS_setresuid, sandbox::kInnerUid, sandbox::kInnerUid, sandbox::kInnerUid) != 0) {
    give_up(socket, {"become the function's user", errno});
  }
  const long init =
      ::syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (init == 0) run_replica_init(socket, order, raw);
  if (init < 0) give_up(socket, {"clone the replica's init", errno});
  ::_exit(0);
}

// Answers errno, 0 when well.
int write_map(pid_t process, const char* file, std::uint32_t id) {
  char path[64];
  char line[32];
  std::snprintf(path, sizeof path, "/proc/%d/%s", process, file);
  const int length = std::snprintf(line, sizeof line, "%u %u 1", id, id);
  const UniqueFd map(::open(path, O_WRONLY | O_CLOEXEC));
  if (!map) return errno;
  const ssize_t written = ::write(map.get(), line, static_cast<std::size_t>(length));
  if (written < 0) return errno;
  return written == length ? 0 : EIO;
}

// What init puts into the forked process's memory for calls that take a pointer.
struct Scratch {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  sock_fprog program{};
};

}  // namespace

// The parent has one filter beyond those that this process has, from the zygote.
ReplicaMaker::ReplicaMaker(const ChildSetup& setup, int orders)
    : setup_(setup), orders_(orders), outer_filters_(filters_of(::getpid())) {
  const int on = 1;
  ::setsockopt(orders_, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  // User code has the other end. Where the kernel lets them come, they are closed.
  refuse_descriptors(orders_);
  ::fcntl(orders_, F_SETFL, O_NONBLOCK);
}

StepError ReplicaMaker::make(const ForkOrder& order, const RawPacket& raw, MadeReplica& made) {
  const Deadline deadline;
  forked_ = 0;
  const StepError error = [&]() -> StepError {
    if (const StepError failed = make_init(order, raw, made)) return failed;
    if (const StepError failed = order_fork(raw)) return failed;
    if (const StepError failed = receive(Said::Kind::kHere, &forked_)) return failed;
    if (const StepError failed = move(order, raw, made.listener)) return failed;
    if (const int failed = send_packet(orders_, {&kGo, 1})) return {"let the replica go", failed};
    if (const StepError failed = receive(Said::Kind::kRuns, &made.worker)) return failed;
    return check_worker(order, made.worker);
  }();
  for (UniqueFd& fd : joined_) fd.reset();
  if (error) {
    for (const pid_t each : {forked_, made.init, made.worker}) {
      if (each > 1) ::kill(each, SIGKILL);
    }
  }
  process_.reset();
  return error;
}

StepError ReplicaMaker::make_init(const ForkOrder& order, const RawPacket& raw, MadeReplica& made) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return here("make a socket");
  const UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  const int on = 1;
  ::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  const pid_t maker = ::fork();
  if (maker < 0) return here("fork");
  if (maker == 0) run_maker(theirs.get(), order, raw);
  theirs.reset();
  ChildNote note;
  RawPacket got;
  pollfd polled{ours.get(), POLLIN, 0};
  if (::poll(&polled, 1, -1) != 1) return here("wait for the replica's init");
  if (receive_raw(ours.get(), &note, sizeof note, got) != sizeof note)
    return {"make the replica's init", ESRCH};
  if (note.kind == ChildNote::Kind::kFailed) {
    // The text is in this process's memory only: the steps that may fail are told by their errno.
    return {"make the replica's sandbox", note.value};
  }
  made.init = got.sender;
  joined_count_ = got.fd_count;
  namespace_count_ = namespaces_of(order.network);
  for (std::size_t i = 0; i < got.fd_count; ++i) {
    if (i < kMaxJoined)
      joined_[i].reset(got.fds[i]);
    else
      ::close(got.fds[i]);
  }
  int error = write_map(made.init, "uid_map", sandbox::kInnerUid);
  if (error == 0) error = write_map(made.init, "gid_map", sandbox::kInnerGid);
  if (error != 0) return {"write the replica's user map", error};
  return {};
}

StepError ReplicaMaker::order_fork(const RawPacket& raw) {
  // What an earlier replica has said too late.
  Said late;
  RawPacket with;
  while (receive_raw(orders_, &late, sizeof late, with) > 0) {
    for (std::size_t i = 0; i < with.fd_count; ++i) ::close(with.fds[i]);
  }
  int fds[kReplicaFds + kMaxJoined];
  std::memcpy(fds, raw.fds, sizeof(int) * kReplicaFds);
  for (std::size_t i = 0; i < joined_count_; ++i) fds[kReplicaFds + i] = joined_[i].get();
  const int error = send_packet(orders_, {&kFork, 1}, {fds, kReplicaFds + joined_count_});
  return error == 0 ? StepError{} : StepError{"order the parent to fork", error};
}

// The sender's pid is the kernel's word.
StepError ReplicaMaker::receive(Said::Kind kind, pid_t* sender) {
  while (true) {
    pollfd polled{orders_, POLLIN, 0};
    if (::poll(&polled, 1, -1) != 1) return here("wait for the parent");
    Said said;
    RawPacket raw;
    if (receive_raw(orders_, &said, sizeof said, raw) != sizeof said) return {"wait for the parent", ESRCH};
    for (std::size_t i = 0; i < raw.fd_count; ++i) ::close(raw.fds[i]);
    // The fork may be over before its child has spoken; without that child it failed.
    if (said.kind == Said::Kind::kDone && kind == Said::Kind::kRuns) continue;
    if (said.kind != kind) return {"fork the parent", EAGAIN};
    *sender = raw.sender;
    here_ = said;
    return {};
  }
}

StepError ReplicaMaker::call(const char* step, long number, const sandbox::Tracee::Arguments& arguments,
                             std::int64_t* result) {
  std::int64_t answer = 0;
  if (const StepError error = tracee_.call(step, number, arguments, &answer)) return error;
  if (result != nullptr) *result = answer;
  return answer < 0 ? StepError{step, static_cast<int>(-answer)} : StepError{};
}

int ReplicaMaker::filters_with(const ForkOrder& order) const {
  const int parents = outer_filters_ + 1;
  return order.network == Network::kEgress ? parents + 1 : parents;
}

StepError ReplicaMaker::move(const ForkOrder& order, const RawPacket& raw, UniqueFd& listener) {
  if (const StepError error = tracee_.stop(forked_)) return error;
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, forked_, 0)));
  if (!process) return here("hold the replica");
  process_ = std::move(process);
  if (outer_filters_ < 0) return {"count the filters of system calls", ENOSYS};
  if (const StepError error = check_fork(forked_, outer_filters_ + 1)) return error;
  if (const StepError error = join_groups(order, raw)) return error;
  if (const StepError error = hand_over(order)) return error;
  if (const StepError error = unshare_descriptors()) return error;
  if (const StepError error = join_namespaces()) return error;
  if (const StepError error = drop_privileges()) return error;
  if (const StepError error = restrict_files()) return error;
  if (order.network == Network::kEgress) {
    if (const StepError error = install_filter(listener)) return error;
  }
  if (const StepError error = check_namespaces(forked_, Moved::kFork, {joined_, namespace_count_}))
    return error;
  if (const StepError error = check_confined(forked_, filters_with(order))) return error;
  return tracee_.release();
}

// While it is stopped: what it had forked before stays the parent's.
StepError ReplicaMaker::join_groups(const ForkOrder& order, const RawPacket& raw) const {
  char pid[16];
  const int length = std::snprintf(pid, sizeof pid, "%d", forked_);
  for (std::size_t i = first_group(order); i < raw.fd_count; ++i) {
    if (::write(raw.fds[i], pid, static_cast<std::size_t>(length)) != length)
      return here("move the replica to its cgroup");
  }
  return {};
}

StepError ReplicaMaker::hand_over(const ForkOrder& order) const {
  Scratch scratch;
  const std::size_t filter_bytes =
      order.network == Network::kEgress ? setup_.notify_filter.size() * sizeof(sock_filter) : 0;
  if (sizeof scratch + filter_bytes > kScratchBytes) return {"hand the filter over", E2BIG};
  scratch.program.len = static_cast<unsigned short>(setup_.notify_filter.size());
  scratch.program.filter = static_cast<sock_filter*>(there(here_.scratch + sizeof scratch));
  const iovec from[] = {{&scratch, sizeof scratch},
                        {const_cast<sock_filter*>(setup_.notify_filter.data()), filter_bytes}};
  const iovec to{there(here_.scratch), sizeof scratch + filter_bytes};
  if (::process_vm_writev(forked_, from, 2, &to, 1, 0) != static_cast<ssize_t>(to.iov_len))
    return here("write into the replica");
  return {};
}

// Another process that has the same table could put other descriptors in the place of those that are looked
// at.
StepError ReplicaMaker::unshare_descriptors() {
  constexpr std::uint64_t kNone = ~0U;
  return call("give the replica its own descriptors", SYS_close_range, {kNone, kNone, CLOSE_RANGE_UNSHARE});
}

// What the fork says of its child is only that there is one. The fork itself must be gone: it is not in the
// namespace that ends with the replica's init, and while it lives it is told how the child ends.
StepError ReplicaMaker::check_worker(const ForkOrder& order, pid_t worker) const {
  ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
  pollfd ended{process_.get(), POLLIN, 0};
  if (::poll(&ended, 1, -1) != 1) return here("wait for the fork's end");
  if (const StepError error = check_is_child(worker)) return error;
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, worker, 0)));
  if (!process) return here("hold the replica");
  StepError error = check_namespaces(worker, Moved::kWorker, {joined_, namespace_count_});
  if (!error) error = check_confined(worker, filters_with(order));
  // One that has ended, with all its threads, is nowhere any more; its end is told like any.
  pollfd dead{process.get(), POLLIN, 0};
  return error && ::poll(&dead, 1, 0) != 1 ? error : StepError{};
}

StepError ReplicaMaker::join_namespaces() {
  for (std::size_t i = 0; i < namespace_count_; ++i) {
    const auto fd = static_cast<std::uint64_t>(static_cast<std::uint32_t>(here_.joined[i]));
    if (const StepError error =
            call("join a namespace", SYS_setns, {fd, static_cast<std::uint64_t>(kReplicaNamespaces[i].type)}))
      return error;
  }
  return {};
}

// Joining a user namespace gave it every capability there.
StepError ReplicaMaker::drop_privileges() {
  for (std::uint64_t capability = 0; capability <= 63; ++capability) {
    const StepError error = call("drop the replica's bounding set", SYS_prctl, {PR_CAPBSET_DROP, capability});
    if (error && error.error_number == EINVAL) break;  // beyond the kernel's last
    if (error) return error;
  }
  if (const StepError error =
          call("drop the replica's capabilities", SYS_capset,
               {here_.scratch + offsetof(Scratch, header), here_.scratch + offsetof(Scratch, none)})) {
    return error;
  }
  return call("set the replica dumpable", SYS_prctl, {PR_SET_DUMPABLE, 1});
}

// The worker says which of its descriptors the rules are: it could name others, of its own making.
StepError ReplicaMaker::restrict_files() {
  if (joined_count_ == namespace_count_) return {};
  const int ours = joined_[namespace_count_].get();
  const int theirs = here_.joined[namespace_count_];
  const long same = ::syscall(SYS_kcmp, ::getpid(), forked_, KCMP_FILE, ours, theirs);
  if (same < 0) return here("find the replica's rules for files");  // without kcmp there are no replicas
  if (same > 0) return {"find the replica's rules for files", EPROTO};
  return call("restrict the replica's files", SYS_landlock_restrict_self,
              {static_cast<std::uint32_t>(theirs), 0});
}

StepError ReplicaMaker::install_filter(UniqueFd& listener) {
  std::int64_t theirs = -1;
  if (const StepError error = call("install the replica's filter", SYS_seccomp,
                                   {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                                    here_.scratch + offsetof(Scratch, program)},
                                   &theirs)) {
    return error;
  }
  const auto taken =
      static_cast<int>(::syscall(SYS_pidfd_getfd, process_.get(), static_cast<int>(theirs), 0));
  if (taken < 0) return here("take the replica's listener");
  listener.reset(taken);
  return call("close the replica's listener", SYS_close, {static_cast<std::uint64_t>(theirs)});
}

}  // namespace sterna::zygote
