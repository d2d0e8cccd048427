// Keeps a group that runs into its limit of processors on as few of them as the limit is.
//
// The kernel enforces `cpus` as a quota in each period. Several busy processes use it up on all processors at
// once at the period's start, and so long nobody else finds an idle one. On ceil(cpus) processors the group
// gets the same quota, and the others stay free for its neighbours.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "sandbox/cgroup.h"

namespace sterna::sandbox {

// Looks at the groups below a layout. Does nothing without the controllers cpu and cpuset, or with one
// processor. Single thread.
class CpuConfiner {
 public:
  // A group that ran into its limit is left alone again after this time without.
  static constexpr Duration kRelease = std::chrono::seconds(60);
  // `look` is to be called so often.
  static constexpr std::chrono::milliseconds kEvery{200};

  // `processors`: the numbers of those that functions may use.
  CpuConfiner(CgroupLayout layout, std::vector<unsigned> processors);

  void look(MonotonicTime now);

 private:
  struct Group {
    std::uint64_t periods = 0;       // in which it ran
    std::uint64_t throttled = 0;     // in which it was stopped
    std::vector<unsigned> confined;  // to these; empty: it may use all
    MonotonicTime limited{};         // when it last ran into its limit
    unsigned skipped = 0;            // looks until it is read again
    bool seen = true;
  };

  void look_at(const std::string& name, Group& group, MonotonicTime now);
  void confine(const std::string& name, Group& group);
  bool set_processors(const std::string& name, const std::vector<unsigned>& processors);
  void bring_in(const std::string& name) const;
  std::vector<unsigned> least_used(std::size_t count) const;
  bool forget(const std::string& name) const;

  const CgroupLayout layout_;
  const std::vector<unsigned> processors_;
  std::map<std::string, Group> groups_;  // by the name of their directory
};

// Calls `look` in a thread of its own until destroyed.
class CpuConfinerThread {
 public:
  explicit CpuConfinerThread(CgroupLayout layout);

 private:
  void run(const std::stop_token& stop);

  CpuConfiner confiner_;
  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::jthread thread_;  // last: it uses the others
};

// The processors that this process may run on.
std::vector<unsigned> usable_processors();

}  // namespace sterna::sandbox
