// Memory, cpu, process and disk limits by control groups, version 2 or 1; counts who was killed for memory.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "sandbox/oom_watch.h"

namespace sterna::sandbox {

enum class CgroupVersion : std::uint8_t { kNone, kV1, kV2 };
std::string_view to_string(CgroupVersion version);

// The directories below which one server's groups live. A controller that cannot be used has an empty
// directory; with version 2 the others are the same directory. Absolute paths, so that a process in another
// group can use them.
struct CgroupLayout {
  CgroupVersion version = CgroupVersion::kNone;
  std::string memory;
  std::string cpu;
  std::string pids;
  std::string io{};
  std::vector<std::string> disks{};  // "254:0": the disks that io is limited for
  std::string cpuset{};              // for CpuConfiner alone

  // Each distinct directory once.
  std::vector<std::string> directories() const;
  bool operator==(const CgroupLayout&) const = default;
};
nlohmann::json to_json(const CgroupLayout& layout);
Result<CgroupLayout> layout_from_json(const nlohmann::json& json);

struct CgroupLimits {
  std::uint64_t memory_bytes = 0;
  double cpus = 0;
  std::uint64_t pids = 0;
  std::uint64_t io_bytes_per_second = 0;  // from each disk, and to it; 0: no limit
  bool operator==(const CgroupLimits&) const = default;
};

struct CgroupWrite {
  std::string file;  // in the group's directory of the controller
  std::string value;
  bool optional = false;  // swap accounting may be off
  bool operator==(const CgroupWrite&) const = default;
};
// The writes that set `limits`, in order, per controller. Pure.
std::vector<CgroupWrite> memory_writes(CgroupVersion version, std::uint64_t bytes);
std::vector<CgroupWrite> cpu_writes(CgroupVersion version, double cpus);
std::vector<CgroupWrite> io_writes(CgroupVersion version, const std::vector<std::string>& disks,
                                   std::uint64_t bytes_per_second);

// Finds where `name` goes below this process's own group. Pure but for looking which directories exist.
// `root` is where the hierarchies are mounted (/sys/fs/cgroup), `self` the text of /proc/self/cgroup.
CgroupLayout locate_cgroups(const std::string& root, std::string_view self, std::string_view name);

// The whole disks of `sys_block` (/sys/block), without memory and loop devices; at most 16.
std::vector<std::string> find_disks(const std::string& sys_block);

// Makes the layout's directories ready: with version 2 moves this process into a leaf of its own and turns
// the controllers on. Controllers that cannot be used are taken out of the layout and named in `warnings`.
// Call once, from the server.
CgroupLayout create_cgroups(CgroupLayout layout, std::vector<std::string>& warnings);

// Kills what is left in the groups below the layout's directories, and removes them and the directories
// themselves. For a server that died. Waits at most `patience`; fails with io when something stays.
Status sweep_cgroups(const CgroupLayout& layout, std::chrono::milliseconds patience);

// The name of a zygote's group number `number`. Runtimes share a layout, so a name tells whose it is.
std::string group_name(pid_t zygote, std::uint64_t number);

// Removes the groups of zygotes that died without removing them; their processes died with them.
void remove_orphan_groups(const CgroupLayout& layout);

// The names of the groups in `directory` that zygotes have made.
std::vector<std::string> zygote_groups(const std::string& directory);

// SIGKILL to all processes of the group at `directory` but `spared` and the caller.
void kill_members(const std::string& directory, pid_t spared = 0);

// One worker's group. Its directories are removed by `remove`, not by the destructor.
class Cgroup {
 public:
  Cgroup(Cgroup&&) = default;
  Cgroup& operator=(Cgroup&&) = default;

  // Makes the group `leaf` in every directory of the layout. Fails with io.
  static Result<Cgroup> make(const CgroupLayout& layout, std::string_view leaf);

  // For the child to write "0" into: joins the writer. Open until `close_join`.
  std::vector<int> join_fds() const;
  void close_join() { join_.clear(); }

  // Writes only what differs from what was set before.
  Status set(const CgroupLimits& limits);

  // How many processes of the group the kernel has killed for memory. 0 without the controller.
  std::uint64_t oom_kills() const;

  // Tells of the first such kill, for the group to be ended by `kill`. Nullopt where the kernel ends the
  // whole group itself (version 2), without the controller, and where the kernel does not tell.
  std::optional<OomWatch> watch_oom_kills() const;

  // SIGKILL to all in it but `spared`; none of them can start another process any more. For a group that is
  // not used again.
  void kill(pid_t spared = 0) const;

  // True when nothing is left of it; false when processes still leave it: call again.
  bool remove();

 private:
  Cgroup() = default;

  CgroupVersion version_ = CgroupVersion::kNone;
  std::string memory_;
  std::string cpu_;
  std::string pids_;
  std::string io_;
  std::vector<std::string> disks_;
  std::vector<std::string> directories_;
  std::vector<UniqueFd> join_;
  CgroupLimits set_;
};

// Writes "0" into each: the calling process joins the groups. Async-signal-safe; answers errno or 0.
int join_cgroups(const int* fds, std::size_t count);

}  // namespace sterna::sandbox
