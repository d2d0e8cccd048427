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
  if (!file_) {
    if (Status opened = open_file(); !opened) return opened;
  }
  if (tail_.size() + part.size() > tail_room_) {
    if (Status written = write(tail_); !written) return written;
    tail_.clear();
    if (part.size() >= tail_room_) return write(part);
  }
  if (tail_.empty()) tail_.reserve(tail_room_);
  tail_.append(part);
  return {};
}

Status Body::open_file() {
  file_.reset(::open(budget_.spool_dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file_) return fail_errno(Component::kGateway, "cannot make a file for a large request body", errno);
  const bool has_room = budget_.in_use + kGathered <= budget_.memory_limit;
  if (has_room) budget_.in_use += kGathered;
  tail_room_ = has_room ? kGathered : kLeastGathered;
  return {};
}

Status Body::write(std::string_view part) {
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
  budget_.in_use -= memory_.size() + (tail_room_ == kGathered ? kGathered : 0);
  memory_.clear();
  if (memory_.capacity() > (16U << 10)) memory_.shrink_to_fit();
  file_.reset();
  spooled_ = 0;
  tail_ = {};
  tail_room_ = 0;
}

Result<std::size_t> Body::read(std::uint64_t offset, std::size_t limit, std::string& out) const {
  if (offset < memory_.size()) {
    const std::string_view part = std::string_view(memory_).substr(offset, limit);
    out.append(part);
    return part.size();
  }
  const std::uint64_t file_offset = offset - memory_.size();
  if (file_offset >= spooled_) {
    const std::string_view part = std::string_view(tail_).substr(file_offset - spooled_, limit);
    out.append(part);
    return part.size();
  }
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
