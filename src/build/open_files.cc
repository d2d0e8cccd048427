#include "build/open_files.h"

#include <dirent.h>
#include <sys/stat.h>

#include <cctype>
#include <functional>
#include <memory>
#include <set>
#include <string>

namespace sterna::build {
namespace {

constexpr std::uint64_t kBlock = 512;  // the unit of st_blocks

using Folder = std::unique_ptr<DIR, decltype([](DIR* open) { ::closedir(open); })>;

void each_name(const std::string& path, const std::function<void(int folder, const char* name)>& tell) {
  const Folder folder(::opendir(path.c_str()));
  if (!folder) return;
  while (const dirent* entry = ::readdir(folder.get())) tell(::dirfd(folder.get()), entry->d_name);
}

class Unnamed {
 public:
  explicit Unnamed(dev_t disk) : disk_(disk) {}

  // The folder's entries lead to files that are open: /proc/1/fd.
  void add(const std::string& open_files) {
    each_name(open_files, [this](int folder, const char* name) {
      struct stat info{};
      if (::fstatat(folder, name, &info, 0) != 0 || !S_ISREG(info.st_mode)) return;
      if (info.st_nlink != 0 || info.st_dev != disk_ || !seen_.insert(info.st_ino).second) return;
      bytes_ += static_cast<std::uint64_t>(info.st_blocks) * kBlock;
    });
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  const dev_t disk_;
  std::set<ino_t> seen_;
  std::uint64_t bytes_ = 0;
};

bool is_process(const char* name) {
  return std::isdigit(static_cast<unsigned char>(*name)) != 0;
}

}  // namespace

std::uint64_t unnamed_bytes(const std::filesystem::path& folder) {
  struct stat ours{};
  if (::stat(folder.c_str(), &ours) != 0) return 0;
  Unnamed found(ours.st_dev);
  each_name("/proc", [&](int /*proc*/, const char* name) {
    if (!is_process(name)) return;
    const std::string process = std::string("/proc/") + name;
    struct stat theirs{};
    if (::stat((process + "/root/function").c_str(), &theirs) != 0) return;
    if (theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino) return;
    found.add(process + "/map_files");
    // Threads may have descriptors of their own.
    each_name(process + "/task", [&](int /*task*/, const char* thread) {
      if (is_process(thread)) found.add(process + "/task/" + thread + "/fd");
    });
  });
  return found.bytes();
}

}  // namespace sterna::build
