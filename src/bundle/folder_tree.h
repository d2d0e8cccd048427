// Whole folders on disk: removed, sealed, shared by hard links. Symbolic links are never followed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>

#include "base/error.h"

namespace sterna::bundle {

// Removes a folder, read-only ones in it too. What cannot be removed stays behind.
void remove_tree(const std::filesystem::path& root);

// An entry counts as a block at least: empty files and folders fill a disk, too.
struct TreeSize {
  std::uint64_t bytes = 0;  // as the disk counts them
  std::uint64_t entries = 0;
  // False: something could not be looked at, because it is closed, deeper than kMaxTreeDepth, or at a path of
  // more than kMaxTreePath bytes; or there is more than was asked for.
  bool whole = true;
};

inline constexpr std::size_t kMaxTreeDepth = 100;
inline constexpr std::size_t kMaxTreePath = 3'000;  // below the folder

// Adds up a folder that may be changing meanwhile, until it has more than `enough` bytes.
TreeSize tree_size(const std::filesystem::path& root,
                   std::uint64_t enough = std::numeric_limits<std::uint64_t>::max());

// Makes what user code has written ready for use: files become 0444 or 0555, folders 0555, all of them the
// server's own; what is neither a file, a folder nor a symbolic link is removed. `root` may be a single
// file. Nobody else may write to it any more. Fails with io.
Result<TreeSize> seal_tree(const std::filesystem::path& root);

// Gives `to`, a folder that is there, the contents of `from`: files by hard links (copies where the file
// system has no more links), symbolic links and folders made anew. Folders that both have are merged; of
// files that both have, `from`'s are taken. Fails with io, with not_found when `from` is not there.
Status link_tree(const std::filesystem::path& from, const std::filesystem::path& to);

// Waits until all that was written to the file system of `path` is on disk.
Status sync_file_system(const std::filesystem::path& path);

}  // namespace sterna::bundle
