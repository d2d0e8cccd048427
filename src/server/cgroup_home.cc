#include "server/cgroup_home.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace sterna::server {
namespace {

constexpr auto kSweepPatience = std::chrono::seconds(5);
constexpr const char* kCgroupRoot = "/sys/fs/cgroup";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
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
  if (!left.is_discarded()) {
    if (const auto layout = sandbox::layout_from_json(left)) sweep(*layout);
  }
  const std::string name = "sterna-" + std::to_string(::getpid());
  auto layout = sandbox::locate_cgroups(kCgroupRoot, read_file("/proc/self/cgroup"), name);
  layout.disks = sandbox::find_disks("/sys/block");
  layout = sandbox::create_cgroups(std::move(layout), warnings);
  std::ofstream(file) << to_json(layout).dump() << "\n";
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
