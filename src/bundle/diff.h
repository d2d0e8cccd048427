// How the files of two bundles differ, for people: unified diffs of what is text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/files.h"

namespace sterna::bundle {

inline constexpr std::size_t kMaxDiffFile = 256 << 10;  // larger files are only named
inline constexpr std::size_t kMaxDiffBytes = 1 << 20;   // of all diffs together
// Of all files together, in comparisons of lines: about half a second of one core.
inline constexpr std::int64_t kMaxDiffSteps = 20'000'000;

struct FileChange {
  enum class Kind : std::uint8_t { kAdded, kRemoved, kChanged, kMode };  // kMode: only the executable bit
  std::string path;
  Kind kind = Kind::kChanged;
  std::optional<std::size_t> from_bytes;
  std::optional<std::size_t> to_bytes;
  std::string diff;  // empty: no text, too large to show, or without steps left
};
std::string_view to_string(FileChange::Kind kind);  // "added"

struct BundleDiff {
  std::vector<FileChange> files;  // by path; equal ones are left out
  bool truncated = false;         // some text was too large, or there was too much to show or to compare
};

BundleDiff compare(const Files& from, const Files& to, std::int64_t max_steps = kMaxDiffSteps);

// "--- a/path", "+++ b/path" and hunks with three lines around each change, as patch(1) takes them. Texts
// with very many differences are shown as one replaced block. Empty when they are equal.
std::string unified_diff(std::string_view path, std::string_view from, std::string_view to);

}  // namespace sterna::bundle
