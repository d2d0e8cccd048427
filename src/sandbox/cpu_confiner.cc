#include "sandbox/cpu_confiner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>

#include "base/number.h"
#include "sandbox/files.h"

namespace sterna::sandbox {
namespace {

// With so many groups those that do not run are read only at every fifth look.
constexpr std::size_t kManyGroups = 100;
constexpr unsigned kIdleLooks = 4;
// New processes of a fork bomb are born while the others are brought in; what is missed is found by the next
// look.
constexpr int kMaxRounds = 4;
constexpr std::size_t kMaxProcesses = std::size_t{1} << 20;  // bytes of their list

// The limit of `group`, the directory of the controller cpu; 0 without one.
double limit_of(const std::string& group, CgroupVersion version) {
  const std::string all = version == CgroupVersion::kV2
                              ? read_file(group + "/cpu.max").value_or("")
                              : read_file(group + "/cpu.cfs_quota_us").value_or("") + " " +
                                    read_file(group + "/cpu.cfs_period_us").value_or("");
  std::vector<double> numbers;
  for (const std::string_view line : split(all, '\n')) {
    for (const std::string_view word : split(line, ' '))
      numbers.push_back(parse_number<double>(word).value_or(0));
  }
  return numbers.size() == 2 && numbers[1] > 0 ? std::max(0.0, numbers[0] / numbers[1]) : 0;
}

}  // namespace

std::vector<unsigned> usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned> found;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return found;
  for (unsigned each = 0; each < CPU_SETSIZE; ++each) {
    if (CPU_ISSET(each, &set)) found.push_back(each);
  }
  return found;
}

CpuConfiner::CpuConfiner(CgroupLayout layout, std::vector<unsigned> processors)
    : layout_(std::move(layout)), processors_(std::move(processors)) {}

void CpuConfiner::look(MonotonicTime now) {
  if (layout_.cpu.empty() || layout_.cpuset.empty() || processors_.size() < 2) return;
  for (auto& [name, group] : groups_) group.seen = false;
  for (const std::string& name : zygote_groups(layout_.cpu)) {
    Group& group = groups_[name];
    group.seen = true;
    look_at(name, group, now);
  }
  std::erase_if(groups_, [this](const auto& each) { return !each.second.seen && forget(each.first); });
}

void CpuConfiner::look_at(const std::string& name, Group& group, MonotonicTime now) {
  if (group.skipped > 0) {
    --group.skipped;
    return;
  }
  const std::string stat = read_file(layout_.cpu + "/" + name + "/cpu.stat").value_or("");
  const std::uint64_t periods = counter_in(stat, "nr_periods");
  const std::uint64_t throttled = counter_in(stat, "nr_throttled");
  const std::uint64_t ran = periods - std::exchange(group.periods, periods);
  const std::uint64_t limited = throttled - std::exchange(group.throttled, throttled);
  if (ran == 0 && groups_.size() > kManyGroups) group.skipped = kIdleLooks;
  // Now and then is no greed: a runtime collects its garbage in several threads.
  if (limited >= 2 && limited * 2 >= ran) {
    group.limited = now;
    confine(name, group);
  } else if (!group.confined.empty() && now - group.limited >= kRelease &&
             set_processors(name, processors_)) {
    group.confined.clear();
  }
}

void CpuConfiner::confine(const std::string& name, Group& group) {
  if (group.confined.empty()) {
    constexpr double kRounding = 0.01;  // of the quota's microseconds
    const double limit = limit_of(layout_.cpu + "/" + name, layout_.version);
    const auto count = static_cast<std::size_t>(std::max(1.0, std::ceil(limit - kRounding)));
    if (limit == 0 || count >= processors_.size()) return;
    std::vector<unsigned> chosen = least_used(count);
    if (!set_processors(name, chosen)) return;
    group.confined = std::move(chosen);
  }
  bring_in(name);
}

// Version 1 has a tree of its own for this; only who is confined has a group there.
bool CpuConfiner::set_processors(const std::string& name, const std::vector<unsigned>& processors) {
  const std::string group = layout_.cpuset + "/" + name;
  if (layout_.version == CgroupVersion::kV1 && ::mkdir(group.c_str(), 0755) == 0) {
    const auto nodes = read_file(layout_.cpuset + "/cpuset.mems");
    if (!nodes || write_file(group + "/cpuset.mems", *nodes) != 0) return false;
  }
  return write_file(group + "/cpuset.cpus", fmt::format("{}", fmt::join(processors, ","))) == 0;
}

void CpuConfiner::bring_in(const std::string& name) const {
  if (layout_.version != CgroupVersion::kV1) return;
  const std::string target = layout_.cpuset + "/" + name + "/cgroup.procs";
  for (int round = 0; round < kMaxRounds; ++round) {
    const auto all = read_file(layout_.cpu + "/" + name + "/cgroup.procs", kMaxProcesses);
    const auto inside = read_file(target, kMaxProcesses);
    if (!all || !inside) return;
    auto known = split(*inside, '\n');
    std::ranges::sort(known);
    bool moved = false;
    for (const std::string_view process : split(*all, '\n')) {
      if (!std::ranges::binary_search(known, process))
        moved = write_file(target, process) == 0 || moved;  // or it has ended
    }
    if (!moved) return;
  }
}

// Interrupts are mostly handled by the first processors, so of equal ones the last are taken.
std::vector<unsigned> CpuConfiner::least_used(std::size_t count) const {
  std::vector<std::pair<std::size_t, unsigned>> by_use;
  for (const unsigned processor : processors_) {
    const auto uses = std::ranges::count_if(groups_, [processor](const auto& each) {
      return std::ranges::find(each.second.confined, processor) != each.second.confined.end();
    });
    by_use.emplace_back(uses, processor);
  }
  std::ranges::sort(by_use, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  });
  by_use.resize(count);
  std::vector<unsigned> chosen(count);
  std::ranges::transform(by_use, chosen.begin(), [](const auto& each) { return each.second; });
  std::ranges::sort(chosen);
  return chosen;
}

// The group has ended, and its zygote has removed the directories that it knows of.
bool CpuConfiner::forget(const std::string& name) const {
  return layout_.version != CgroupVersion::kV1 || ::rmdir((layout_.cpuset + "/" + name).c_str()) == 0 ||
         errno != EBUSY;
}

CpuConfinerThread::CpuConfinerThread(CgroupLayout layout)
    : confiner_(std::move(layout), usable_processors()),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

void CpuConfinerThread::run(const std::stop_token& stop) {
  const SystemClock clock;
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, stop, CpuConfiner::kEvery, [&stop] { return stop.stop_requested(); }))
    confiner_.look(clock.now());
}

}  // namespace sterna::sandbox
