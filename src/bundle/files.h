// The files of a bundle in memory, and what is allowed to be one.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sterna::bundle {

inline constexpr std::size_t kMaxFiles = 5'000;
inline constexpr std::size_t kMaxPathBytes = 512;
inline constexpr std::size_t kMaxPathDepth = 32;

inline constexpr std::string_view kTooLarge = "bundle_too_large";  // the reason

enum class Executable : std::uint8_t { kNo, kYes };

struct File {
  std::string path;  // relative, with '/', without "." and ".." segments
  std::string content;
  Executable executable = Executable::kNo;

  friend bool operator==(const File&, const File&) = default;
};

// Sorted by path.
using Files = std::vector<File>;

// `raw` as a path inside the bundle: "./a//b" is "a/b", the folder itself is "". Fails with invalid, reason
// `bad_bundle_path`, on what would leave the folder, absolute paths, backslashes, control characters, invalid
// UTF-8, and paths that are too long or too deep.
Result<std::string> clean_path(std::string_view raw);

// Gathers files and refuses what does not fit together. Reasons `bad_bundle_path`, `bundle_too_large`.
class Collector {
 public:
  // `max_bytes`: of all contents together, limits.max_code_bytes.
  explicit Collector(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // Whether `bytes` more fit; call it while unpacking, before the bytes are kept.
  Status reserve(std::size_t bytes);
  // `path` comes from clean_path; its content has been reserved.
  Status add(std::string path, std::string content, Executable executable);
  // A path that is a folder in what is unpacked; counts like a file.
  Status add_folder(const std::string& path);
  // The collection, sorted. Fails when one path is a file and the folder of another.
  Result<Files> finish();

 private:
  Status count();

  const std::size_t max_bytes_;
  Files files_;
  std::set<std::string, std::less<>> paths_;
  std::set<std::string, std::less<>> folders_;
  std::size_t bytes_ = 0;
  std::size_t entries_ = 0;
};

// SHA-256 over paths, executable bits and contents, in hex; over the name of a space, too, it is the name of
// the bundle there.
std::string hash_of(const Files& files, std::string_view space = {});

std::unexpected<Error> bad_path(std::string_view path, std::string_view why);

}  // namespace sterna::bundle
