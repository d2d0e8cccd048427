// Keeps a second server away from the data directory.
#pragma once

#include <filesystem>

#include "base/error.h"
#include "base/unique_fd.h"

namespace sterna::store {

// Held as long as it lives; the kernel lets go of it when the process dies, however it dies.
class DataLock {
 public:
  // Creates `directory` (mode 0700) when it is missing, and locks the file kFile in it, which holds the
  // owner's pid. Fails with conflict, reason `data_dir_in_use`, when another process holds it; with io when
  // it cannot be written.
  static constexpr const char* kFile = "lock";
  static Result<DataLock> acquire(const std::filesystem::path& directory);

 private:
  explicit DataLock(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

}  // namespace sterna::store
