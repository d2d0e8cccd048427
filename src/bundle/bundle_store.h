// Bundles on disk: one read-only folder each, named by the hash of space and files; and what builds made of
// them.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bundle/files.h"

namespace sterna::bundle {

// Files are 0444 or 0555 and folders 0555, readable by everyone: the data directory around them (0700) keeps
// others out, and a worker sees only its own bundle. A folder that has its final name is whole and on disk.
// Any thread, but `remove` and `sweep` must not race with a `put` of the same bundle: the caller holds one
// mutex around put and the commit that refers to it.
class BundleStore {
 public:
  // Creates `root` when it is missing, and clears what a killed server left half-written.
  static Result<std::unique_ptr<BundleStore>> open(const std::filesystem::path& root);

  // Writes the files unless they are there; answers their hash after they are on disk. The same files of two
  // spaces are two bundles: by the times of a shared one each could tell that, and since when, the other has
  // exactly this code.
  Result<std::string> put(const Files& files, std::string_view space);
  // Where a worker finds the bundle. The hash must be one that `put` answered.
  std::filesystem::path path_of(std::string_view hash) const;
  // How large its files are together; 0 when it is not there. Remembered: they never change.
  std::int64_t bytes_of(std::string_view hash);
  // Fails with not_found, reason `bundle_not_found`.
  Result<Files> load(std::string_view hash) const;
  // Bundles that are not there are fine. What was made of it goes too.
  Status remove(std::string_view hash);
  // Removes every bundle but these; for the start, since a crash between put and commit leaves one behind.
  Status sweep(const std::vector<std::string>& used);

  // Makes the folder of the bundle together with a layer: the files of both, shared with where they come from
  // by hard links. What the bundle has at its top hides what the layer has there by that name. `layer` is a
  // name of the caller's, of letters and digits; nothing is done when that folder is there already. Fails
  // with not_found when the bundle is gone.
  Status compose(std::string_view hash, std::string_view layer, const std::filesystem::path& layer_files);
  // That folder, which may not be there.
  std::filesystem::path composed_path(std::string_view hash, std::string_view layer) const;
  // Removes every composed folder but these pairs of hash and layer; for the start.
  Status sweep_composed(const std::vector<std::pair<std::string, std::string>>& used);

 private:
  explicit BundleStore(std::filesystem::path root) : root_(std::move(root)) {}
  Status remove_folder(const std::filesystem::path& folder, const std::string& name);

  const std::filesystem::path root_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::int64_t> bytes_;  // by hash; guarded by mutex_
};

}  // namespace sterna::bundle
