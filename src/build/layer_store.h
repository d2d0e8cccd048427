// What builds made, on disk: one read-only folder a layer, by key, at most so many bytes of them. Those that
// were used longest ago go first; versions that use one keep its files, which they share by hard links.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/error.h"

namespace sterna::build {

// A folder that has its final name is whole and on disk. Any thread; every call but `bytes` waits for the
// disk.
class LayerStore {
 public:
  // Creates `root` when it is missing, and clears what a killed server left half-made.
  static Result<std::unique_ptr<LayerStore>> open(const std::filesystem::path& root, std::uint64_t max_bytes);

  // A new, empty folder on the same file system, for a build to work in; its maker removes it.
  Result<std::filesystem::path> make_workshop();

  // The folder with the layer's files; counts as a use. nullopt: there is none.
  std::optional<std::filesystem::path> find(const std::string& key);

  // Takes over what is in `made`, a folder on the same file system that nobody writes to any more, as a
  // layer. Answers the layer's folder; one that is there already stays.
  Result<std::filesystem::path> add(const std::string& key, const std::filesystem::path& made);

  // Removes layers until the limit is kept, but none of `spared`. `add` leaves that to the caller, who may
  // need the new one first.
  void evict(const std::set<std::string>& spared);
  std::uint64_t bytes() const;

 private:
  struct Layer {
    std::uint64_t bytes = 0;
    std::filesystem::file_time_type used;
  };

  LayerStore(std::filesystem::path root, std::uint64_t max_bytes);
  Status index();
  std::filesystem::path files_of(const std::string& key) const;

  const std::filesystem::path root_;
  const std::uint64_t max_bytes_;
  mutable std::mutex mutex_;
  std::map<std::string, Layer> layers_;  // guarded by mutex_
  std::uint64_t bytes_ = 0;              // likewise
};

}  // namespace sterna::build
