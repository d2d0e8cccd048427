#include "net/body.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sterna::net {

Status Body::append(std::string_view part) {
  const bool fits = !file_ && memory_.size() + part.size() <= budget_.body_limit &&
                    budget_.in_use + part.size() <= budget_.memory_limit;
  if (!fits) return spool(part);
  memory_.append(part);
  budget_.in_use += part.size();
  return {};
}

Status Body::spool(std::string_view part) {
  if (!file_) file_.reset(::open(budget_.spool_dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file_) return fail_errno(Component::kGateway, "cannot make a file for a large request body", errno);
  while (!part.empty()) {
    const ssize_t written = ::pwrite(file_.get(), part.data(), part.size(), static_cast<off_t>(spooled_));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return fail_errno(Component::kGateway, "cannot keep a large request body", errno);
    spooled_ += static_cast<std::uint64_t>(written);
    part.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

void Body::clear() {
  budget_.in_use -= memory_.size();
  memory_.clear();
  if (memory_.capacity() > (16U << 10)) memory_.shrink_to_fit();
  file_.reset();
  spooled_ = 0;
}

Result<std::size_t> Body::read(std::uint64_t offset, std::size_t limit, std::string& out) const {
  if (offset < memory_.size()) {
    const std::string_view part = std::string_view(memory_).substr(offset, limit);
    out.append(part);
    return part.size();
  }
  const std::uint64_t file_offset = offset - memory_.size();
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(limit, spooled_ - file_offset));
  const std::size_t before = out.size();
  out.resize(before + wanted);
  const ssize_t got = ::pread(file_.get(), out.data() + before, wanted, static_cast<off_t>(file_offset));
  if (got != static_cast<ssize_t>(wanted)) {
    out.resize(before);
    return fail_errno(Component::kGateway, "cannot read a large request body back", got < 0 ? errno : EIO);
  }
  return wanted;
}

Result<std::string> Body::bytes() const {
  std::string bytes;
  bytes.reserve(size());
  while (bytes.size() < size()) {
    const auto got = read(bytes.size(), size(), bytes);
    if (!got) return std::unexpected(got.error());
  }
  return bytes;
}

}  // namespace sterna::net
