// Where groups go, made ready by the server at its start, and swept after one that died.
#include <dirent.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>

#include "sandbox/cgroup.h"
#include "sandbox/files.h"

namespace sterna::sandbox {
namespace {

constexpr std::string_view kSelfLeaf = "server";

// The group's path of the line that names `controller` ("" for version 2) in /proc/self/cgroup.
std::optional<std::string_view> own_path(std::string_view self, std::string_view controller) {
  for (const std::string_view line : split(self, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    bool found = controllers == controller;
    for (const std::string_view each : split(controllers, ',')) found = found || each == controller;
    if (found) return line.substr(second + 1);
  }
  return std::nullopt;
}

// In a container the path may be the host's while the mount begins at our own group: then the mount itself is
// ours.
std::string own_directory(const std::string& mount, std::string_view path) {
  std::string directory = path == "/" ? mount : mount + std::string(path);
  return is_directory(directory) ? directory : mount;
}

std::string v1_directory(const std::string& root, std::string_view self, std::string_view controller,
                         std::string_view name) {
  const std::string mount = root + "/" + std::string(controller);
  const auto path = own_path(self, controller);
  if (!path || !is_directory(mount)) return {};
  return own_directory(mount, *path) + "/" + std::string(name);
}

bool has_line(const std::string& file, std::string_view line) {
  const auto text = read_file(file, 1 << 20);
  if (!text) return false;
  const auto lines = split(*text, '\n');
  return std::ranges::find(lines, line) != lines.end();
}

bool has_word(const std::string& file, std::string_view word) {
  auto text = read_file(file);
  if (!text) return false;
  if (!text->empty() && text->back() == '\n') text->pop_back();
  for (const std::string_view each : split(*text, ' ')) {
    if (each == word) return true;
  }
  return false;
}

// Turns `controller` on for the children of `directory`. Answers errno, 0 when well.
int enable(const std::string& directory, std::string_view controller) {
  const std::string file = directory + "/cgroup.subtree_control";
  if (has_word(file, controller)) return 0;
  return write_file(file, "+" + std::string(controller));
}

// Version 2 gives controllers only to children of groups without processes (the root excepted), so the server
// moves into a leaf of its own.
void create_v2(CgroupLayout& layout, std::vector<std::string>& warnings) {
  const std::string base = layout.directories().front();
  const std::string own = base.substr(0, base.rfind('/'));
  const std::string leaf = base + "/" + std::string(kSelfLeaf);
  if ((::mkdir(base.c_str(), 0755) != 0 && errno != EEXIST) ||
      (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST)) {
    warnings.push_back("cgroups cannot be made below " + own +
                       ": memory, cpu and process limits are not enforced by them");
    layout = {};
    return;
  }
  const int moved = write_file(leaf + "/cgroup.procs", "0");
  if (enable(own, "cpuset") != 0 || enable(base, "cpuset") != 0) layout.cpuset.clear();  // no limit needs it
  const std::array<std::pair<std::string_view, std::string*>, 4> controllers{
      {{"memory", &layout.memory}, {"cpu", &layout.cpu}, {"io", &layout.io}, {"pids", &layout.pids}}};
  for (const auto& [controller, directory] : controllers) {
    if (enable(own, controller) == 0 && enable(base, controller) == 0) continue;
    directory->clear();
    warnings.push_back("the cgroup controller " + std::string(controller) + " cannot be turned on" +
                       (moved != 0 ? " (the server could not move into a group of its own)" : ""));
  }
  if (layout.cpu.empty()) layout.cpuset.clear();
  if (layout.directories().empty()) layout = {};
}

// A new group of cpuset has no processors and no memory, and takes nobody before it has.
void create_v1_cpuset(CgroupLayout& layout) {
  if (layout.cpuset.empty()) return;
  const std::string own = layout.cpuset.substr(0, layout.cpuset.rfind('/'));
  bool made = ::mkdir(layout.cpuset.c_str(), 0755) == 0 || errno == EEXIST;
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"})
    made = made && write_file(layout.cpuset + file, read_file(own + file).value_or("")) == 0;
  if (made) return;
  ::rmdir(layout.cpuset.c_str());
  layout.cpuset.clear();
}

void create_v1(CgroupLayout& layout, std::vector<std::string>& warnings) {
  const std::array<std::pair<std::string_view, std::string*>, 4> controllers{
      {{"memory", &layout.memory}, {"cpu", &layout.cpu}, {"pids", &layout.pids}, {"blkio", &layout.io}}};
  for (const auto& [controller, directory] : controllers) {
    if (!directory->empty() && (::mkdir(directory->c_str(), 0755) == 0 || errno == EEXIST)) continue;
    directory->clear();
    warnings.push_back("the cgroup controller " + std::string(controller) + " cannot be used");
  }
  if (layout.cpu.empty()) layout.cpuset.clear();
  create_v1_cpuset(layout);
  if (layout.directories().empty()) layout = {};
}

std::vector<std::string> subdirectories(const std::string& directory) {
  std::vector<std::string> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), &::closedir);
  if (!dir) return found;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..")
      found.push_back(directory + "/" + std::string(name));
  }
  return found;
}

// The pid in a group's name, 0 for a name that is not a zygote's.
pid_t owner_of(const std::string& group) {
  const std::string_view name = std::string_view(group).substr(group.rfind('/') + 1);
  pid_t owner = 0;
  if (name.starts_with('z')) std::from_chars(name.data() + 1, name.data() + name.size(), owner);
  return owner;
}

bool holds_this_process(const std::string& group) {
  return has_line(group + "/cgroup.procs", std::to_string(::getpid()));
}

// One try: kills what is there and removes what is empty. True when all is gone, but for the group that this
// very process is in.
bool sweep_once(const std::string& directory) {
  bool ours = false;
  for (const std::string& leaf : subdirectories(directory)) {
    kill_members(leaf);
    if (::rmdir(leaf.c_str()) != 0) ours = ours || holds_this_process(leaf);
  }
  kill_members(directory);
  return ours || ::rmdir(directory.c_str()) == 0 || errno == ENOENT;
}

}  // namespace

CgroupLayout locate_cgroups(const std::string& root, std::string_view self, std::string_view name) {
  CgroupLayout layout;
  if (::access((root + "/cgroup.controllers").c_str(), R_OK) == 0) {
    const auto path = own_path(self, "");
    if (!path) return layout;
    const std::string base = own_directory(root, *path) + "/" + std::string(name);
    return {CgroupVersion::kV2, base, base, base, base, {}, base};
  }
  layout.memory = v1_directory(root, self, "memory", name);
  layout.cpu = v1_directory(root, self, "cpu", name);
  layout.pids = v1_directory(root, self, "pids", name);
  layout.io = v1_directory(root, self, "blkio", name);
  layout.cpuset = v1_directory(root, self, "cpuset", name);
  if (!layout.directories().empty()) layout.version = CgroupVersion::kV1;
  return layout;
}

std::vector<std::string> find_disks(const std::string& sys_block) {
  constexpr std::size_t kMaxDisks = 16;
  std::vector<std::string> disks;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(sys_block.c_str()), &::closedir);
  if (!dir) return disks;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    const bool is_memory = name.starts_with("loop") || name.starts_with("ram") || name.starts_with("zram");
    if (name.starts_with('.') || is_memory || disks.size() == kMaxDisks) continue;
    auto number = read_file(fmt::format("{}/{}/dev", sys_block, name));
    if (!number) continue;
    if (number->ends_with('\n')) number->pop_back();
    disks.push_back(std::move(*number));
  }
  return disks;
}

CgroupLayout create_cgroups(CgroupLayout layout, std::vector<std::string>& warnings) {
  switch (layout.version) {
    case CgroupVersion::kNone:
      warnings.emplace_back(
          "no cgroup hierarchy was found: memory, cpu and process limits are not enforced by cgroups");
      break;
    case CgroupVersion::kV1:
      create_v1(layout, warnings);
      break;
    case CgroupVersion::kV2:
      create_v2(layout, warnings);
      break;
  }
  return layout;
}

std::string group_name(pid_t zygote, std::uint64_t number) {
  return "z" + std::to_string(zygote) + "-" + std::to_string(number);
}

void remove_orphan_groups(const CgroupLayout& layout) {
  for (const std::string& directory : layout.directories()) {
    for (const std::string& group : subdirectories(directory)) {
      const pid_t owner = owner_of(group);
      if (owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH) ::rmdir(group.c_str());
    }
  }
}

std::vector<std::string> zygote_groups(const std::string& directory) {
  std::vector<std::string> names;
  for (const std::string& group : subdirectories(directory)) {
    if (owner_of(group) > 0) names.push_back(group.substr(group.rfind('/') + 1));
  }
  return names;
}

Status sweep_cgroups(const CgroupLayout& layout, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (const std::string& directory : layout.directories()) {
    while (!sweep_once(directory)) {
      if (std::chrono::steady_clock::now() > deadline) {
        return fail(Code::kIo, Component::kWorker, "cgroup_not_swept",
                    "processes of an earlier server do not end");
      }
      ::poll(nullptr, 0, 5);  // the killed are still leaving
    }
  }
  return {};
}

}  // namespace sterna::sandbox
