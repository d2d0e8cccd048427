#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "base/number.h"
#include "sandbox/files.h"

namespace sterna::sandbox {
namespace {

// Whoever takes all he can get holds every processor at the start of each period until his quota is used up,
// and so long do his neighbours' calls wait: a fifth of the kernel's default. The kernel's least quota is a
// millisecond, so the smallest shares need a longer period.
constexpr std::uint64_t kPeriodUs = 20'000;
constexpr std::uint64_t kLongPeriodUs = 100'000;
constexpr std::uint64_t kLeastQuotaUs = 1'000;

std::uint64_t quota_us(double cpus, std::uint64_t period_us) {
  return static_cast<std::uint64_t>(std::llround(cpus * static_cast<double>(period_us)));
}

std::uint64_t period_us(double cpus) {
  return quota_us(cpus, kPeriodUs) < kLeastQuotaUs ? kLongPeriodUs : kPeriodUs;
}

// Those that are not empty, each once.
std::vector<std::string> distinct(std::initializer_list<const std::string*> directories) {
  std::vector<std::string> all;
  for (const std::string* directory : directories) {
    if (!directory->empty() && std::ranges::find(all, *directory) == all.end()) all.push_back(*directory);
  }
  return all;
}

Status write_all(const std::string& directory, const std::vector<CgroupWrite>& writes) {
  for (const CgroupWrite& write : writes) {
    const int error = write_file(directory + "/" + write.file, write.value);
    if (error != 0 && !write.optional)
      return fail_errno(Component::kWorker, "set cgroup " + write.file, error);
  }
  return {};
}

}  // namespace

std::string_view to_string(CgroupVersion version) {
  switch (version) {
    case CgroupVersion::kNone:
      return "none";
    case CgroupVersion::kV1:
      return "v1";
    case CgroupVersion::kV2:
      return "v2";
  }
  return "none";
}

std::vector<std::string> CgroupLayout::directories() const {
  return distinct({&memory, &cpu, &pids, &io, &cpuset});
}

nlohmann::json to_json(const CgroupLayout& layout) {
  return {{"version", to_string(layout.version)},
          {"memory", layout.memory},
          {"cpu", layout.cpu},
          {"pids", layout.pids},
          {"io", layout.io},
          {"cpuset", layout.cpuset},
          {"disks", layout.disks}};
}

Result<CgroupLayout> layout_from_json(const nlohmann::json& json) {
  CgroupLayout layout;
  try {
    const auto version = json.at("version").get<std::string>();
    layout.version = version == "v2"   ? CgroupVersion::kV2
                     : version == "v1" ? CgroupVersion::kV1
                                       : CgroupVersion::kNone;
    layout.memory = json.at("memory").get<std::string>();
    layout.cpu = json.at("cpu").get<std::string>();
    layout.pids = json.at("pids").get<std::string>();
    layout.io = json.value("io", std::string());
    layout.cpuset = json.value("cpuset", std::string());
    layout.disks = json.value("disks", std::vector<std::string>());
  } catch (const nlohmann::json::exception& error) {
    return fail(Code::kInvalid, Component::kWorker, "bad_control_message", error.what());
  }
  return layout;
}

std::vector<CgroupWrite> memory_writes(CgroupVersion version, std::uint64_t bytes) {
  const std::string value = std::to_string(bytes);
  // Version 1 wants memory <= memory with swap at every moment. A fresh group has both unlimited; when a
  // limit grows, the first write fails (and may), the second makes room and the third settles it.
  if (version == CgroupVersion::kV1) {
    return {
        {"memory.limit_in_bytes", value, true},
        {"memory.memsw.limit_in_bytes", value, true},
        {"memory.limit_in_bytes", value, false},
        {"memory.kmem.tcp.limit_in_bytes", value, true}};  // sockets' buffers; version 2 counts them itself
  }
  // Who has a child killed for memory mostly starts the next: the kernel ends all processes of the group at
  // once. Version 1 cannot (OomWatch).
  return {{"memory.max", value, false}, {"memory.swap.max", "0", true}, {"memory.oom.group", "1", true}};
}

std::vector<CgroupWrite> cpu_writes(CgroupVersion version, double cpus) {
  const std::uint64_t length = period_us(cpus);
  const std::string quota = std::to_string(std::max(kLeastQuotaUs, quota_us(cpus, length)));
  const std::string period = std::to_string(length);
  if (version == CgroupVersion::kV1)
    return {{"cpu.cfs_period_us", period, false}, {"cpu.cfs_quota_us", quota, false}};
  return {{"cpu.max", quota + " " + period, false}};
}

// Optional: not every disk can be limited.
std::vector<CgroupWrite> io_writes(CgroupVersion version, const std::vector<std::string>& disks,
                                   std::uint64_t bytes_per_second) {
  const std::string rate = std::to_string(bytes_per_second);
  std::vector<CgroupWrite> writes;
  for (const std::string& disk : disks) {
    if (version == CgroupVersion::kV1) {
      for (const char* way : {"read", "write"})
        writes.push_back(
            {fmt::format("blkio.throttle.{}_bps_device", way), fmt::format("{} {}", disk, rate), true});
      continue;
    }
    const std::string most = bytes_per_second == 0 ? "max" : rate;
    writes.push_back({"io.max", fmt::format("{} rbps={} wbps={}", disk, most, most), true});
  }
  return writes;
}

Result<Cgroup> Cgroup::make(const CgroupLayout& layout, std::string_view leaf) {
  Cgroup group;
  group.version_ = layout.version;
  const auto below = [&](const std::string& base) {
    return base.empty() ? base : base + "/" + std::string(leaf);
  };
  group.memory_ = below(layout.memory);
  group.cpu_ = below(layout.cpu);
  group.pids_ = below(layout.pids);
  group.io_ = below(layout.io);
  group.disks_ = layout.disks;
  group.directories_ = distinct({&group.memory_, &group.cpu_, &group.pids_, &group.io_});
  for (const std::string& directory : group.directories_) {
    if (::mkdir(directory.c_str(), 0755) != 0) {
      const int error = errno;
      group.remove();
      return fail_errno(Component::kWorker, "make a cgroup", error);
    }
    UniqueFd join(::open((directory + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    if (!join) {
      const int error = errno;
      group.remove();
      return fail_errno(Component::kWorker, "open cgroup.procs", error);
    }
    group.join_.push_back(std::move(join));
  }
  return group;
}

std::vector<int> Cgroup::join_fds() const {
  std::vector<int> fds;
  fds.reserve(join_.size());
  for (const UniqueFd& fd : join_) fds.push_back(fd.get());
  return fds;
}

Status Cgroup::set(const CgroupLimits& limits) {
  if (!memory_.empty() && limits.memory_bytes != set_.memory_bytes) {
    if (auto status = write_all(memory_, memory_writes(version_, limits.memory_bytes)); !status)
      return status;
  }
  if (!cpu_.empty() && limits.cpus != set_.cpus) {
    if (auto status = write_all(cpu_, cpu_writes(version_, limits.cpus)); !status) return status;
  }
  if (!pids_.empty() && limits.pids != set_.pids) {
    if (auto status = write_all(pids_, {{"pids.max", std::to_string(limits.pids), false}}); !status)
      return status;
  }
  if (!io_.empty() && limits.io_bytes_per_second != set_.io_bytes_per_second) {
    if (auto status = write_all(io_, io_writes(version_, disks_, limits.io_bytes_per_second)); !status)
      return status;
  }
  set_ = limits;
  return {};
}

std::uint64_t Cgroup::oom_kills() const {
  if (memory_.empty()) return 0;
  const char* file = version_ == CgroupVersion::kV1 ? "/memory.oom_control" : "/memory.events";
  return read_counter(memory_ + file, "oom_kill");
}

std::optional<OomWatch> Cgroup::watch_oom_kills() const {
  if (memory_.empty() || version_ != CgroupVersion::kV1) return std::nullopt;
  return OomWatch::open(memory_);
}

void Cgroup::kill(pid_t spared) const {
  const bool has_switch = version_ == CgroupVersion::kV2 && spared == 0 && !directories_.empty();
  if (has_switch && write_file(directories_.front() + "/cgroup.kill", "1") == 0) return;
  if (!pids_.empty()) write_file(pids_ + "/pids.max", "0");
  // What was being forked during the first round is there in the second.
  for (int round = 0; round < 2; ++round) {
    for (const std::string& directory : directories_) kill_members(directory, spared);
  }
}

bool Cgroup::remove() {
  std::erase_if(directories_, [](const std::string& directory) {
    return ::rmdir(directory.c_str()) == 0 || errno == ENOENT;
  });
  return directories_.empty();
}

void kill_members(const std::string& directory, pid_t spared) {
  const auto text = read_file(directory + "/cgroup.procs", 1 << 20);
  if (!text) return;
  for (const std::string_view line : split(*text, '\n')) {
    const pid_t pid = parse_number<pid_t>(line).value_or(0);
    if (pid > 1 && pid != spared && pid != ::getpid()) ::kill(pid, SIGKILL);
  }
}

int join_cgroups(const int* fds, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (::write(fds[i], "0", 1) != 1) return errno;
  }
  return 0;
}

}  // namespace sterna::sandbox
