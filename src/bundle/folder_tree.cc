#include "bundle/folder_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <vector>

#include "base/unique_fd.h"

namespace sterna::bundle {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kFolderMode = 0555;
constexpr std::uint64_t kBlock = 512;  // the unit of st_blocks

std::unexpected<Error> failed(std::string_view what, int error) {
  return fail_errno(Component::kRegistry, what, error);
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
  size.bytes += static_cast<std::uint64_t>(info.st_blocks) * kBlock;
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

// One entry at the top, with all that is below it.
Status link_entry(const fs::path& from, const fs::path& to) {
  std::error_code error;
  const fs::file_type type = fs::symlink_status(from, error).type();
  if (type == fs::file_type::symlink) return copy_link(from, to);
  if (type != fs::file_type::directory) return link_file(from, to);
  std::vector<fs::path> folders = {to};
  if (::mkdir(to.c_str(), 0700) != 0) return failed("cannot make a folder", errno);
  const Status done = visit(from, [&](const fs::path& path) -> Status {
    const fs::path place = to / path.lexically_relative(from);
    std::error_code unknown;
    const fs::file_type kind = fs::symlink_status(path, unknown).type();
    if (kind == fs::file_type::symlink) return copy_link(path, place);
    if (kind != fs::file_type::directory) return link_file(path, place);
    folders.push_back(place);
    if (::mkdir(place.c_str(), 0700) != 0) return failed("cannot make a folder", errno);
    return {};
  });
  for (const fs::path& folder : folders) {
    if (::chmod(folder.c_str(), kFolderMode) != 0) return failed("cannot make a folder", errno);
  }
  return done;
}

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

TreeSize tree_size(const fs::path& root) {
  TreeSize size;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(root, fs::directory_options::skip_permission_denied, error),
       end;
       !error && entry != end; entry.increment(error)) {
    struct stat info{};
    if (::lstat(entry->path().c_str(), &info) != 0) continue;
    size.bytes += static_cast<std::uint64_t>(info.st_blocks) * kBlock;
    ++size.entries;
  }
  return size;
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
  fs::directory_iterator entries(from, error);
  if (error == std::errc::no_such_file_or_directory) {
    return fail(Code::kNotFound, Component::kRegistry, "bundle_not_found", "what was to be used is gone");
  }
  for (const fs::directory_iterator end; !error && entries != end; entries.increment(error)) {
    const fs::path place = to / entries->path().filename();
    std::error_code unknown;
    if (fs::symlink_status(place, unknown).type() != fs::file_type::not_found) continue;
    if (Status done = link_entry(entries->path(), place); !done) return done;
  }
  if (error) return failed("cannot read a folder", error.value());
  return {};
}

Status sync_file_system(const fs::path& path) {
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::syncfs(folder.get()) != 0) return failed("cannot sync a folder", errno);
  return {};
}

}  // namespace sterna::bundle
