#include "store/data_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <string>

namespace sterna::store {
namespace {

std::string owner_of(int file) {
  std::array<char, 32> text{};
  const ssize_t length = ::pread(file, text.data(), text.size(), 0);
  std::string pid(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  return pid.empty() ? "unknown pid" : "pid " + pid;
}

}  // namespace

Result<DataLock> DataLock::acquire(const std::filesystem::path& directory) {
  std::error_code error;
  const std::filesystem::path parent = directory.parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(Component::kRegistry, "cannot make the data directory " + directory.string(), errno);
  }
  UniqueFd file(::open((directory / kFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file)
    return fail_errno(Component::kRegistry, "cannot write in the data directory " + directory.string(),
                      errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return fail_errno(Component::kRegistry, "cannot lock the data directory " + directory.string(), errno);
    return fail(Code::kConflict, Component::kRegistry, "data_dir_in_use",
                "another sterna server (" + owner_of(file.get()) + ") uses this data directory");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return fail_errno(Component::kRegistry, "cannot write the lock file", errno);
  }
  return DataLock(std::move(file));
}

}  // namespace sterna::store
