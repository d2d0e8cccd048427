#include "server/cgroup_home.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/log.h"
#include "base/ulid.h"
#include "store/data_lock.h"

namespace sterna::server {
namespace {

constexpr auto kSweepPatience = std::chrono::seconds(5);
constexpr const char* kCgroupRoot = "/sys/fs/cgroup";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Of the file that DataLock holds. A copy of the data directory has another, and no say over the groups of
// the original, whose server may live.
nlohmann::json identity_of(const std::filesystem::path& data_dir) {
  struct stat lock{};
  if (::stat((data_dir / store::DataLock::kFile).c_str(), &lock) != 0) return nullptr;
  return {{"device", lock.st_dev}, {"inode", lock.st_ino}};
}

// Pids are used again, these names are not.
std::string new_name() {
  const SystemClock clock;
  return "sterna-" + std::to_string(::getpid()) + "-" + UlidGenerator(clock).next();
}

void sweep(const sandbox::CgroupLayout& layout) {
  if (const Status swept = sandbox::sweep_cgroups(layout, kSweepPatience); !swept) {
    log::warn("cannot remove control groups", {{"error", std::string_view(swept.error().detail)}});
  }
}

}  // namespace

CgroupHome CgroupHome::open(const std::filesystem::path& data_dir, std::vector<std::string>& warnings) {
  std::filesystem::path file = data_dir / "run" / "cgroups.json";
  const auto left = nlohmann::json::parse(read_file(file), nullptr, false);
  const nlohmann::json identity = identity_of(data_dir);
  if (left.is_object() && !identity.is_null() && left.value("lock", nlohmann::json()) == identity) {
    if (const auto layout = sandbox::layout_from_json(left)) sweep(*layout);
  }
  auto layout = sandbox::locate_cgroups(kCgroupRoot, read_file("/proc/self/cgroup"), new_name());
  layout.disks = sandbox::find_disks("/sys/block");
  layout = sandbox::create_cgroups(std::move(layout), warnings);
  nlohmann::json kept = to_json(layout);
  kept["lock"] = identity;
  std::ofstream(file) << kept.dump() << "\n";
  return {std::move(file), std::move(layout)};
}

CgroupHome::CgroupHome(std::filesystem::path file, sandbox::CgroupLayout layout)
    : file_(std::move(file)), layout_(std::move(layout)) {}

CgroupHome::CgroupHome(CgroupHome&& other) noexcept
    : file_(std::exchange(other.file_, {})), layout_(std::move(other.layout_)) {}

CgroupHome::~CgroupHome() {
  if (file_.empty()) return;
  sweep(layout_);
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

}  // namespace sterna::server
