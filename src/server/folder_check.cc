#include "server/folder_check.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unique_fd.h"

namespace sterna::server {
namespace {

constexpr std::uint64_t kLeastBytes = 1U << 20U;  // with less, nothing of size can be kept
constexpr std::size_t kTriedBytes = 64U << 10U;   // more than what a file system keeps in a file's own record

std::optional<gateway::Trouble> trouble_of(const Folder& folder, int error) {
  const auto trouble = [&](std::string reason, std::string_view why) {
    return gateway::Trouble{.component = folder.component,
                            .reason = std::move(reason),
                            .detail = std::string(why).append("; ").append(folder.meanwhile)};
  };
  switch (error) {
    case 0:
    case EMFILE:
    case ENFILE:
      return std::nullopt;
    case ENOSPC:
    case EDQUOT:
      return trouble("disk_full", "there is no space left");
    case EROFS:
      return trouble("disk_read_only", "the file system can only be read");
    case EACCES:
    case EPERM:
    case ENOENT:
    case ENOTDIR:
      return trouble("not_writable", "the folder is gone or belongs to somebody else");
    default:
      return trouble("io_error", "the disk fails");
  }
}

int look(const Folder& folder) {
  struct statvfs room{};
  if (::statvfs(folder.path.c_str(), &room) != 0) return errno;
  if ((room.f_flag & ST_RDONLY) != 0) return EROFS;
  const bool no_files = room.f_files > 0 && room.f_favail == 0;
  return no_files || room.f_bavail * room.f_frsize < kLeastBytes ? ENOSPC : 0;
}

// Where a file system knows no files without a name, one with a name is made and taken away.
int write(const Folder& folder) {
  UniqueFd file(::open(folder.path.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file && (errno == EOPNOTSUPP || errno == EISDIR)) {
    std::string name = folder.path / ".check-XXXXXX";
    file.reset(::mkostemp(name.data(), O_CLOEXEC));
    if (file) ::unlink(name.c_str());
  }
  if (!file) return errno;
  static constexpr std::array<char, kTriedBytes> kNothing{};
  const ssize_t written = ::pwrite(file.get(), kNothing.data(), kNothing.size(), 0);
  if (written < 0) return errno;
  return static_cast<std::size_t>(written) == kNothing.size() ? 0 : ENOSPC;
}

}  // namespace

std::optional<gateway::Trouble> check_folder(const Folder& folder, CheckDepth depth) {
  const int seen = look(folder);
  if (seen != 0 || depth == CheckDepth::kLook) return trouble_of(folder, seen);
  return trouble_of(folder, write(folder));
}

}  // namespace sterna::server
