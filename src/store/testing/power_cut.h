// A file system for SQLite that loses what was not synced, as a machine does whose power is cut.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

struct sqlite3_vfs;

namespace sterna::store::testing {

// What of the unsynced writes is on the disk after the cut: nothing, or pages of them as chance has it.
enum class Unsynced : std::uint8_t { kLost, kTorn };

// While it lives, it is SQLite's default file system: connections that are opened then use it. One at a time.
class PowerCut {
 public:
  PowerCut();
  // No connection may be open any more.
  ~PowerCut();
  PowerCut(const PowerCut&) = delete;
  PowerCut& operator=(const PowerCut&) = delete;

  // From now on nothing becomes durable. Any thread.
  void cut(Unsynced unsynced, std::uint64_t seed);
  // Gives the files the contents that the cut has left them, and goes on with these. No connection may be
  // open.
  void restore();
  // How often something was synced. Any thread.
  std::uint64_t syncs() const;

  // For the file system's own functions, which are no members.
  class File;
  // `write` changes the file; no cut comes between its pieces.
  template <class Write>
  int writing(Write write) {
    const std::scoped_lock lock(mutex_);
    return write();
  }
  void opened(const std::string& path);
  void synced(const std::string& path, std::string contents);
  void deleted(const std::string& path);

 private:
  sqlite3_vfs* const vfs_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> durable_;  // guarded by mutex_; path: contents
  std::map<std::string, bool> known_;           // guarded by mutex_; path: whether it was ever synced
  std::uint64_t syncs_ = 0;                     // guarded by mutex_
  bool is_cut_ = false;                         // guarded by mutex_
};

}  // namespace sterna::store::testing
