#include "bundle/folder_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <expected>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace sterna::bundle {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kFolderMode = 0555;
constexpr std::uint64_t kBlock = 512;  // the unit of st_blocks
constexpr std::uint64_t kLeastBytes = 4096;

std::unexpected<Error> failed(std::string_view what, int error) {
  return fail_errno(Component::kRegistry, what, error);
}

std::uint64_t disk_bytes(const struct stat& info) {
  return std::max(static_cast<std::uint64_t>(info.st_blocks) * kBlock, kLeastBytes);
}

// What is found in a folder: no symbolic link is followed on the way.
Status visit(const fs::path& root, const std::function<Status(const fs::path&)>& each) {
  std::error_code error;
  for (fs::recursive_directory_iterator entry(root, error), end; !error && entry != end;
       entry.increment(error)) {
    if (Status done = each(entry->path()); !done) return done;
  }
  if (error) return failed("cannot read a folder", error.value());
  return {};
}

Status seal_one(const fs::path& path, TreeSize& size) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return failed("cannot seal what was built", errno);
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode) && !S_ISLNK(info.st_mode)) {
    if (::unlink(path.c_str()) != 0) return failed("cannot seal what was built", errno);
    return {};
  }
  if (::geteuid() == 0 && ::lchown(path.c_str(), 0, 0) != 0)
    return failed("cannot seal what was built", errno);
  if (!S_ISLNK(info.st_mode)) {
    const mode_t mode = S_ISDIR(info.st_mode) || (info.st_mode & S_IXUSR) != 0 ? kFolderMode : 0444;
    if (::chmod(path.c_str(), mode) != 0) return failed("cannot seal what was built", errno);
  }
  size.bytes += disk_bytes(info);
  ++size.entries;
  return {};
}

Status duplicate(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy_file(from, to, error);
  if (error) return failed("cannot copy a file", error.value());
  return {};
}

Status copy_link(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy_symlink(from, to, error);
  if (error) return failed("cannot copy a link", error.value());
  return {};
}

Status link_file(const fs::path& from, const fs::path& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return {};
  const bool no_links = errno == EMLINK || errno == EXDEV || errno == EPERM || errno == ENOTSUP;
  return no_links ? duplicate(from, to) : failed("cannot link a file", errno);
}

// One entry of a tree, at its place in another.
Status link_entry(const fs::path& from, const fs::path& place, std::vector<fs::path>& opened) {
  std::error_code unknown;
  const fs::file_type type = fs::symlink_status(from, unknown).type();
  const fs::file_type there = fs::symlink_status(place, unknown).type();
  if (there == fs::file_type::directory) {
    if (type != fs::file_type::directory) return {};
    if (::chmod(place.c_str(), 0700) != 0) return failed("cannot fill a folder", errno);
    opened.push_back(place);
    return {};
  }
  if (there != fs::file_type::not_found && ::unlink(place.c_str()) != 0)
    return failed("cannot replace a file", errno);
  if (type == fs::file_type::symlink) return copy_link(from, place);
  if (type != fs::file_type::directory) return link_file(from, place);
  if (::mkdir(place.c_str(), 0700) != 0) return failed("cannot make a folder", errno);
  opened.push_back(place);
  return {};
}

using FolderPtr = std::unique_ptr<DIR, decltype([](DIR* open) { ::closedir(open); })>;

// Fails with an errno.
std::expected<FolderPtr, int> open_folder(int parent, const char* name) {
  const int folder = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return std::unexpected(errno);
  FolderPtr opened(::fdopendir(folder));
  if (opened) return opened;
  const int error = errno;
  ::close(folder);
  return std::unexpected(error);
}

// Goes by descriptors, which lead on where a path would be too long.
class SizeWalk {
 public:
  explicit SizeWalk(std::uint64_t enough) : enough_(enough) {}

  TreeSize run(const fs::path& root) {
    enter(AT_FDCWD, root.c_str(), 0);
    while (!way_.empty() && size_.bytes <= enough_) {
      errno = 0;
      const dirent* const entry = ::readdir(way_.back().folder.get());
      if (entry != nullptr) {
        look(entry->d_name);
        continue;
      }
      if (errno != 0) size_.whole = false;
      way_.pop_back();
    }
    if (size_.bytes > enough_) size_.whole = false;
    return size_;
  }

 private:
  struct Step {
    FolderPtr folder;
    std::size_t path_bytes;
  };

  void look(const char* name) {
    const std::string_view word = name;
    if (word == "." || word == "..") return;
    const int parent = ::dirfd(way_.back().folder.get());
    struct stat info{};
    STERNA_ASSERT(parent >= 0);
    if (::fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      size_.whole = size_.whole && errno == ENOENT;
      return;
    }
    size_.bytes += disk_bytes(info);
    ++size_.entries;
    const std::size_t path_bytes = way_.back().path_bytes + 1 + word.size();
    if (path_bytes > kMaxTreePath) size_.whole = false;
    if (S_ISDIR(info.st_mode)) enter(parent, name, path_bytes);
  }

  // What is no folder any more, or gone, is left out.
  void enter(int parent, const char* name, std::size_t path_bytes) {
    if (way_.size() > kMaxTreeDepth) {
      size_.whole = false;
      return;
    }
    auto folder = open_folder(parent, name);
    if (folder) {
      way_.push_back({.folder = std::move(*folder), .path_bytes = path_bytes});
    } else if (folder.error() != ENOENT && folder.error() != ENOTDIR && folder.error() != ELOOP) {
      size_.whole = false;
    }
  }

  const std::uint64_t enough_;
  TreeSize size_;
  std::vector<Step> way_;  // from the root to where it is
};

}  // namespace

void remove_tree(const fs::path& root) {
  std::error_code ignored;  // what stays behind is cleared at the next start
  const auto open = [&](const fs::path& path) {
    if (!fs::is_symlink(path, ignored)) fs::permissions(path, fs::perms::owner_all, ignored);
  };
  open(root);
  for (fs::recursive_directory_iterator entry(root, ignored), end; entry != end; entry.increment(ignored)) {
    if (entry->is_directory(ignored)) open(entry->path());
  }
  fs::remove_all(root, ignored);
}

TreeSize tree_size(const fs::path& root, std::uint64_t enough) {
  return SizeWalk(enough).run(root);
}

Result<TreeSize> seal_tree(const fs::path& root) {
  TreeSize size;
  std::error_code error;
  if (fs::symlink_status(root, error).type() == fs::file_type::directory) {
    // Its folders may have been closed to their owner.
    std::vector<fs::path> found;
    if (::geteuid() != 0) ::chmod(root.c_str(), 0700);
    const Status read = visit(root, [&](const fs::path& path) -> Status {
      found.push_back(path);
      return {};
    });
    if (!read) return std::unexpected(read.error());
    for (auto path = found.rbegin(); path != found.rend(); ++path) {
      if (Status done = seal_one(*path, size); !done) return std::unexpected(done.error());
    }
  }
  if (Status done = seal_one(root, size); !done) return std::unexpected(done.error());
  return size;
}

Status link_tree(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (!fs::exists(from, error) && !error) {
    return fail(Code::kNotFound, Component::kRegistry, "bundle_not_found", "what was to be used is gone");
  }
  if (error) return failed("cannot read a folder", error.value());
  std::vector<fs::path> opened;
  const Status done = visit(from, [&](const fs::path& path) {
    return link_entry(path, to / path.lexically_relative(from), opened);
  });
  for (const fs::path& folder : opened) {
    if (::chmod(folder.c_str(), kFolderMode) != 0) return failed("cannot make a folder", errno);
  }
  return done;
}

Status sync_file_system(const fs::path& path) {
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::syncfs(folder.get()) != 0) return failed("cannot sync a folder", errno);
  return {};
}

}  // namespace sterna::bundle
