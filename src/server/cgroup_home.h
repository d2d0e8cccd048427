// Where this server's control groups are, and the cleaning up after one that was killed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sandbox/cgroup.h"

namespace sterna::server {

// Removes its groups when destroyed. What a killed server left behind is found by a file in the data
// directory, since the next server may be started in another group. A file that came with a copy of another
// server's data directory is ignored.
class CgroupHome {
 public:
  // Needs the data directory's lock, so that who made the groups in the file has ended.
  static CgroupHome open(const std::filesystem::path& data_dir, std::vector<std::string>& warnings);
  CgroupHome(CgroupHome&& other) noexcept;
  CgroupHome& operator=(CgroupHome&&) = delete;
  ~CgroupHome();

  const sandbox::CgroupLayout& layout() const { return layout_; }

 private:
  CgroupHome(std::filesystem::path file, sandbox::CgroupLayout layout);

  std::filesystem::path file_;
  sandbox::CgroupLayout layout_;
};

}  // namespace sterna::server
