// Tells when something in a folder changes: what an editor saves, renames, makes or deletes, at any depth.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace sterna::cli {

inline constexpr std::size_t kMaxWatchedFolders = 2'000;

// One thread. Hidden files and folders, node_modules, __pycache__ and *.pyc are not looked at, nor folders
// that links lead to.
class FolderWatch {
 public:
  // Watches a folder, also when it is deleted and made again, or one file: the folder around it is watched
  // then, for editors replace files. Fails
  // with bad_usage when it is not there, exhausted `too_many_folders` beyond kMaxWatchedFolders or the
  // kernel's limit.
  static Result<FolderWatch> open(const std::filesystem::path& path);

  // Becomes readable when there is something for `take`.
  int fd() const { return inotify_.get(); }

  // What has changed since the last call, relative to the folder; empty when nothing has. Does not wait.
  // Folders that are new are watched from now on. "." stands for anything: more changed than the kernel could
  // tell.
  Result<std::set<std::string>> take();

 private:
  FolderWatch(UniqueFd inotify, std::filesystem::path folder, std::string only)
      : inotify_(std::move(inotify)), folder_(std::move(folder)), only_(std::move(only)) {}

  Status add(const std::filesystem::path& folder);
  Status add_tree(const std::filesystem::path& folder);

  UniqueFd inotify_;
  std::filesystem::path folder_;
  std::string only_;                            // the one file; empty: all
  int parent_ = -1;                             // the watch that tells when the folder is made again
  std::map<int, std::filesystem::path> paths_;  // of watched folders, by the kernel's number
};

// What `take` gives together with what has `changed` before, once nothing has changed for `quiet`; what never
// rests is given after `limit`.
Result<std::set<std::string>> take_settled(FolderWatch& watch, std::chrono::milliseconds quiet,
                                           std::chrono::milliseconds limit,
                                           std::set<std::string> changed = {});

}  // namespace sterna::cli
