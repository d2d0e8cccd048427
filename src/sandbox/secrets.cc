#include "sandbox/secrets.h"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace sterna::sandbox {
namespace {

// Before each name, which ends with a NUL, and its value.
struct Head {
  std::uint32_t name_bytes = 0;  // with the NUL
  std::uint32_t value_bytes = 0;
};

constexpr std::size_t kPage = 4096;
constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

StepError here(const char* step) {
  return {step, errno};
}

bool write_whole(int file, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(file, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

// Goes through what was packed, which only the server can have written.
class Unpacked {
 public:
  Unpacked(const char* bytes, std::size_t size) : at_(bytes), left_(size) {}

  bool next() {
    if (left_ < sizeof head_) return false;
    std::memcpy(&head_, at_, sizeof head_);
    const std::size_t whole = sizeof head_ + std::size_t{head_.name_bytes} + head_.value_bytes;
    if (left_ < whole || head_.name_bytes == 0) return false;
    name_ = at_ + sizeof head_;
    at_ += whole;
    left_ -= whole;
    return name_[head_.name_bytes - 1] == '\0';
  }
  const char* name() const { return name_; }
  const char* value() const { return name_ + head_.name_bytes; }
  std::size_t value_bytes() const { return head_.value_bytes; }

 private:
  const char* at_;
  std::size_t left_;
  Head head_;
  const char* name_ = nullptr;
};

// Pages and inodes are counted, so that the file system is no larger than what it holds.
bool mount_tmpfs_for(Unpacked secrets) {
  std::size_t pages = 1;
  unsigned files = 2;  // the folder, and one that the kernel keeps back
  while (secrets.next()) {
    pages += secrets.value_bytes() / kPage + 1;
    ++files;
  }
  char options[128];
  std::snprintf(options, sizeof options, "mode=0700,uid=%u,gid=%u,size=%zu,nr_inodes=%u", kInnerUid,
                kInnerGid, pages * kPage, files);
  return ::mount("tmpfs", kSecretsDir, "tmpfs", kFlags, options) == 0;
}

StepError write_files(Unpacked secrets) {
  const UniqueFd folder(::open(kSecretsDir, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return here("open /run/secrets");
  while (secrets.next()) {
    const UniqueFd file(
        ::openat(folder.get(), secrets.name(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
    if (!file || !write_whole(file.get(), secrets.value(), secrets.value_bytes()))
      return here("write a secret's file");
  }
  return {};
}

StepError mount_packed(const char* bytes, std::size_t size) {
  const Unpacked secrets(bytes, size);
  if (!mount_tmpfs_for(secrets)) return here("mount /run/secrets");
  // The child is still nobody in its user namespace, and nobody cannot own files.
  ::setfsgid(kInnerGid);
  ::setfsuid(kInnerUid);
  if (const StepError error = write_files(secrets)) return error;
  if (::mount(nullptr, kSecretsDir, nullptr, MS_REMOUNT | MS_RDONLY | kFlags, nullptr) != 0)
    return here("make /run/secrets read-only");
  return {};
}

}  // namespace

Result<UniqueFd> pack_secrets(const std::map<std::string, std::string>& secrets) {
  UniqueFd memory(::memfd_create("sterna-secrets", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  bool good = static_cast<bool>(memory);
  for (const auto& [name, value] : secrets) {
    const Head head{static_cast<std::uint32_t>(name.size() + 1), static_cast<std::uint32_t>(value.size())};
    good = good && write_whole(memory.get(), reinterpret_cast<const char*>(&head), sizeof head) &&
           write_whole(memory.get(), name.c_str(), name.size() + 1) &&
           write_whole(memory.get(), value.data(), value.size());
  }
  good = good &&
         ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
  if (!good) return fail_errno(Component::kPool, "cannot pack a function's secrets", errno);
  return memory;
}

StepError mount_secrets(int packed_fd) {
  struct stat info{};
  if (::fstat(packed_fd, &info) != 0) return here("read the secrets");
  const auto size = static_cast<std::size_t>(info.st_size);
  void* const bytes = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, packed_fd, 0);
  if (bytes == MAP_FAILED) return here("map the secrets");
  const StepError error = mount_packed(static_cast<const char*>(bytes), size);
  ::munmap(bytes, size);
  return error;
}

}  // namespace sterna::sandbox
