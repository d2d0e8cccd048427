// The zygote's children: spares kept ready, workers started from them, all reaped and their groups removed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "sandbox/cgroup.h"
#include "zygote/child.h"
#include "zygote/control.h"
#include "zygote/oom_guard.h"
#include "zygote/replicas.h"

namespace sterna::zygote {

inline constexpr std::size_t kMaxChildren = 4096;
inline constexpr std::uint32_t kMaxSpares = 64;  // of one kind

// Single thread. Reports go out through `report` as they happen.
class Brood {
 public:
  using ReportSink = std::function<void(Report, int listener)>;

  // `program_uids`: the first of kProgramUids host users for workers that are programs.
  Brood(const ChildSetup& setup, sandbox::CgroupLayout cgroups, sandbox::Privilege privilege,
        std::uint32_t program_uids, ReportSink report);
  ~Brood();  // kills and reaps what is left

  // How many spares to keep of a network kind. None and egress share theirs: they differ only in the filter.
  void set_spares(const Spares& spares);

  // Makes a spare, or a new child when there is none, into the worker; or has it forked from its parent.
  // `fds`: worker socket, claim page, output, and the packed secrets of a function that has some. Every
  // failure ends in an `exited` report.
  void start(const Start& start, const std::vector<UniqueFd>& fds);
  void kill(const std::string& worker);

  // Reaps the ended. Call on SIGCHLD.
  void reap();

  // Reads what child number `index` of `sockets` has said.
  void read_child(int socket);
  std::vector<int> sockets() const;

  // To poll for reading: what tells that a worker's memory is used up.
  std::vector<int> memory_events() const { return oom_guard_.fds(); }
  void on_memory_event(int fd, OomGuard::Time now) { oom_guard_.on_readable(fd, now); }
  // Ends the workers that have lost a process for memory. Call when it is due.
  void end_killed(OomGuard::Time now);
  OomGuard::Time end_killed_due() const { return oom_guard_.due(); }

  // Does one piece of idle work (one spare made, groups removed); answers whether more is waiting.
  bool tidy();
  // No spare at all of a kind that is wanted: then `tidy` should not wait.
  bool bare() const;

 private:
  enum class State : std::uint8_t { kPreparing, kPrepared, kStarting, kRunning };
  struct Child {
    pid_t init = 0;
    pid_t worker_pid = 0;
    std::uint32_t program_uid = 0;
    State state = State::kPreparing;
    sandbox::NetworkSpace space = sandbox::NetworkSpace::kOwn;
    bool from_spare = false;
    std::string worker;
    std::string error;
    std::optional<int> wait_status;
    UniqueFd worker_process;  // a pidfd
    bool may_pause = false;
    bool killed = false;
    bool told = false;  // the worker has ended, its sandbox lives on for its replicas
    UniqueFd socket;
    UniqueFd uid_map;  // open for the one write that the kernel takes
    UniqueFd gid_map;
    std::unique_ptr<sandbox::Cgroup> group;  // null without cgroups
    std::optional<sandbox::OomWatch> watch;  // until it is a worker
  };

  Result<Child*> make(sandbox::NetworkSpace space);
  Result<sandbox::Cgroup> make_group(const sandbox::CgroupLimits& limits);
  Status start_replica(const Start& start, const std::vector<UniqueFd>& fds);
  void tell(Report report, int listener);
  void report_exit(Child& child, int status);
  void leave(sandbox::Cgroup group);
  Child* find_spare(sandbox::NetworkSpace space);
  Result<UniqueFd> filter_for(const sandbox::SandboxPlan& plan) const;
  Status assign(Child& child, const Start& start, const std::vector<UniqueFd>& fds);
  int write_maps(const Child& child, std::uint32_t uid, std::uint32_t gid) const;
  Status admit_program(Child& child);
  std::uint32_t free_program_uid();
  void take_note(Child& child, const ChildNote& note, RawPacket& raw);
  void bury(Child& child, int init_status);
  std::uint32_t wanted(sandbox::NetworkSpace space) const;
  std::uint32_t ready(sandbox::NetworkSpace space) const;
  std::optional<sandbox::NetworkSpace> lacking() const;

  const ChildSetup& setup_;
  const sandbox::CgroupLayout cgroups_;
  const sandbox::Privilege privilege_;
  const std::uint32_t program_uids_;
  const ReportSink sink_;
  std::vector<std::unique_ptr<Child>> children_;
  Replicas replicas_;
  OomGuard oom_guard_;
  std::vector<sandbox::Cgroup> leaving_;  // groups that were busy when their worker ended
  std::uint32_t spares_[3] = {};          // by Network
  std::uint64_t next_leaf_ = 1;
  std::uint32_t next_uid_ = 0;  // beyond program_uids_
  std::uint32_t failures_ = 0;  // spares in a row that could not be prepared
};

}  // namespace sterna::zygote
