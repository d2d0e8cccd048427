#include "logs/segments.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <ranges>
#include <string>
#include <system_error>

#include "base/number.h"

namespace sterna::logs {
namespace {

constexpr std::string_view kSuffix = ".ndjson";
// Longest segment that a reader takes into memory: one written under a wider limit is read from its end.
constexpr std::uint64_t kMaxReadBytes = 64U << 20;

std::optional<std::uint64_t> number_of(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  if (!name.ends_with(kSuffix)) return std::nullopt;
  return parse_number<std::uint64_t>(std::string_view(name).substr(0, name.size() - kSuffix.size()));
}

WallTime written_at(const struct stat& status) {
  return WallTime(std::chrono::seconds(status.st_mtim.tv_sec) +
                  std::chrono::duration_cast<std::chrono::milliseconds>(
                      std::chrono::nanoseconds(status.st_mtim.tv_nsec)));
}

// Oldest first.
std::vector<Segment> list_segments(const std::filesystem::path& folder) {
  std::vector<Segment> found;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const auto number = number_of(at->path());
    struct stat status{};
    if (!number || ::stat(at->path().c_str(), &status) != 0) continue;
    found.push_back({*number, static_cast<std::uint64_t>(status.st_size), written_at(status)});
  }
  std::ranges::sort(found, {}, &Segment::number);
  return found;
}

std::filesystem::path path_in(const std::filesystem::path& folder, std::uint64_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < 4) digits.insert(0, 4 - digits.size(), '0');
  return folder / (digits + std::string(kSuffix));
}

Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(Component::kFunction, "writing a function's log", errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// The whole file, or its last kMaxReadBytes. An empty string when it is gone.
Result<std::string> read_segment(const std::filesystem::path& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file && errno == ENOENT) return std::string();
  if (!file) return fail_errno(Component::kFunction, "opening a function's log", errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0)
    return fail_errno(Component::kFunction, "reading a function's log", errno);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  std::uint64_t offset = size > kMaxReadBytes ? size - kMaxReadBytes : 0;
  std::string bytes(size - offset, '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got =
        ::pread(file.get(), bytes.data() + filled, bytes.size() - filled, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(Component::kFunction, "reading a function's log", errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
    offset += static_cast<std::uint64_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

// Answers false when `visit` has had enough.
bool visit_backwards(std::string_view bytes, const std::function<bool(std::string_view)>& visit) {
  bytes = bytes.substr(0, bytes.rfind('\n') + 1);  // npos + 1 is 0: no whole line
  while (!bytes.empty()) {
    bytes.remove_suffix(1);
    const std::size_t begin = bytes.rfind('\n') + 1;
    if (!visit(bytes.substr(begin))) return false;
    bytes = bytes.substr(0, begin);
  }
  return true;
}

}  // namespace

SegmentWriter::SegmentWriter(std::filesystem::path folder, std::uint64_t bytes_limit)
    : folder_(std::move(folder)),
      segment_limit_(std::max<std::uint64_t>(bytes_limit / kSegmentsPerFunction, 1)),
      segments_(list_segments(folder_)),
      torn_(ends_torn()) {}

Status SegmentWriter::append(std::string_view lines, WallTime now) {
  if (segments_.empty() || segments_.back().bytes + lines.size() > segment_limit_) {
    if (Status begun = begin_segment(); !begun) return begun;
  }
  UniqueFd file = open_newest();
  if (!file && errno == ENOENT) {  // somebody has removed the folder
    if (Status begun = begin_segment(); !begun) return begun;
    segments_.erase(segments_.begin(), segments_.end() - 1);
    file = open_newest();
  }
  Segment& segment = segments_.back();
  if (!file) return fail_errno(Component::kFunction, "opening a function's log", errno);
  segment.written = now;
  if (torn_) {
    if (Status ended = write_all(file.get(), "\n"); !ended) return ended;
    ++segment.bytes;
    torn_ = false;
  }
  // Counted before it is known how much arrived: a disk that is full must not make a segment look smaller
  // than it is.
  segment.bytes += lines.size();
  Status written = write_all(file.get(), lines);
  torn_ = !written;
  return written;
}

UniqueFd SegmentWriter::open_newest() const {
  return UniqueFd(::open(path_of(segments_.back()).c_str(),
                         O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

Status SegmentWriter::begin_segment() {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) return fail_errno(Component::kFunction, "making the folder of a function's log", error.value());
  segments_.push_back({segments_.empty() ? 1 : segments_.back().number + 1, 0, WallTime()});
  torn_ = false;
  while (segments_.size() > kSegmentsPerFunction) drop_oldest();
  return {};
}

void SegmentWriter::drop_oldest() {
  if (segments_.empty()) return;
  std::error_code ignored;  // a file that stays behind is found and removed after the next start
  std::filesystem::remove(path_of(segments_.front()), ignored);
  segments_.erase(segments_.begin());
  if (segments_.empty()) std::filesystem::remove(folder_, ignored);
}

std::uint64_t SegmentWriter::bytes() const {
  std::uint64_t sum = 0;
  for (const Segment& segment : segments_) sum += segment.bytes;
  return sum;
}

std::filesystem::path SegmentWriter::path_of(const Segment& segment) const {
  return path_in(folder_, segment.number);
}

bool SegmentWriter::ends_torn() const {
  if (segments_.empty() || segments_.back().bytes == 0) return false;
  const UniqueFd file(::open(path_of(segments_.back()).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  char last = '\n';
  const auto offset = static_cast<off_t>(segments_.back().bytes - 1);
  return file && ::pread(file.get(), &last, 1, offset) == 1 && last != '\n';
}

Status visit_lines_backwards(const std::filesystem::path& folder,
                             const std::function<bool(std::string_view)>& visit) {
  std::vector<Segment> segments = list_segments(folder);
  for (const Segment& segment : segments | std::views::reverse) {
    const Result<std::string> bytes = read_segment(path_in(folder, segment.number));
    if (!bytes) return std::unexpected(bytes.error());
    if (!visit_backwards(*bytes, visit)) break;
  }
  return {};
}

}  // namespace sterna::logs
