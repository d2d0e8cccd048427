// Turns a function's folder into what the API takes: a map of files, or a tar.gz.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "api/json.h"
#include "base/error.h"

namespace sterna::cli {

struct PackedFile {
  std::string path;  // relative, with '/'
  std::string content;
  bool executable = false;

  bool operator==(const PackedFile&) const = default;
};

inline constexpr std::size_t kMaxFiles = 5'000;
// The most that limits.max_code_bytes may be; what a server takes, it says itself.
inline constexpr std::size_t kMaxCodeBytes = std::size_t{4} << 30;

// Code up to this size goes as JSON with the settings, so that both make one version; more goes as a tar.gz.
inline constexpr std::size_t kMaxInlineBytes = 4U << 20;

// All regular files of a folder, sorted by path; without function.toml, and without what tools leave behind
// (hidden files and folders, __pycache__, *.pyc, Python's virtual environments). Fails with invalid
// `bad_usage` on links and other special files, names that are not UTF-8, when nothing is left, or when there
// is too much.
Result<std::vector<PackedFile>> collect_files(const std::filesystem::path& folder);

std::size_t total_bytes(const std::vector<PackedFile>& files);

// {"path": "<base64>"}
api::Json files_json(const std::vector<PackedFile>& files);

// The same files always give the same bytes.
Result<std::string> pack_tar_gz(const std::vector<PackedFile>& files);

// Fails with io when it cannot be read, invalid `bad_usage` beyond `max_bytes`.
Result<std::string> read_file(const std::filesystem::path& file, std::size_t max_bytes);

}  // namespace sterna::cli
