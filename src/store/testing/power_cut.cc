#include "store/testing/power_cut.h"

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <random>

#include "base/error.h"

namespace sterna::store::testing {
namespace {

constexpr std::size_t kPage = 4096;

// SQLite's own file system, which does the work.
sqlite3_vfs* real_vfs = nullptr;
PowerCut* current = nullptr;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& contents) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << contents;
}

// Every page is that of before or that of now.
std::string torn(const std::string& before, const std::string& now, std::mt19937_64& chance) {
  std::string found = chance() % 2 == 0 ? before : now;  // its length
  for (std::size_t at = 0; at < found.size(); at += kPage) {
    const std::string& from = chance() % 2 == 0 ? before : now;
    if (at >= from.size()) continue;
    const std::size_t size = std::min({kPage, found.size() - at, from.size() - at});
    found.replace(at, size, from, at, size);
  }
  return found;
}

}  // namespace

// What SQLite sees as an open file: ours first, the real one right behind it in the same memory.
class PowerCut::File : public sqlite3_file {
 public:
  static File& of(sqlite3_file* file) { return *static_cast<File*>(file); }
  static sqlite3_file* real(sqlite3_file* file) {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + sizeof(File));
  }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    File& self = *new (file) File;
    self.pMethods = nullptr;
    const int code = real_vfs->xOpen(real_vfs, name, real(file), flags, out_flags);
    if (code != SQLITE_OK) return code;
    if (name != nullptr) self.path_ = name;
    self.pMethods = &kMethods;
    if (!self.path_.empty()) current->opened(self.path_);
    return SQLITE_OK;
  }

 private:
  static int close(sqlite3_file* file) {
    const int code = real(file)->pMethods->xClose(real(file));
    of(file).~File();
    return code;
  }
  static int read(sqlite3_file* file, void* into, int size, sqlite3_int64 at) {
    return real(file)->pMethods->xRead(real(file), into, size, at);
  }
  static int write(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
    return current->writing([&] { return real(file)->pMethods->xWrite(real(file), from, size, at); });
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    return current->writing([&] { return real(file)->pMethods->xTruncate(real(file), size); });
  }
  // What counts is what the file held when the sync began; a write beside it is not allowed by SQLite.
  static int sync(sqlite3_file* file, int flags) {
    const int code = real(file)->pMethods->xSync(real(file), flags);
    if (code == SQLITE_OK && !of(file).path_.empty())
      current->synced(of(file).path_, read_file(of(file).path_));
    return code;
  }
  static int file_size(sqlite3_file* file, sqlite3_int64* size) {
    return real(file)->pMethods->xFileSize(real(file), size);
  }
  static int lock(sqlite3_file* file, int level) { return real(file)->pMethods->xLock(real(file), level); }
  static int unlock(sqlite3_file* file, int level) {
    return real(file)->pMethods->xUnlock(real(file), level);
  }
  static int is_reserved(sqlite3_file* file, int* result) {
    return real(file)->pMethods->xCheckReservedLock(real(file), result);
  }
  static int control(sqlite3_file* file, int what, void* with) {
    return real(file)->pMethods->xFileControl(real(file), what, with);
  }
  static int sector_size(sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); }
  static int characteristics(sqlite3_file* file) {
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
  }
  static int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, out);
  }
  static int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
    return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
  }
  static void shm_barrier(sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); }
  static int shm_unmap(sqlite3_file* file, int remove) {
    return real(file)->pMethods->xShmUnmap(real(file), remove);
  }

  // Version 2: shared memory for WAL, no memory mapping, which would write past us.
  static constexpr sqlite3_io_methods kMethods{
      2,         close,       read,    write,       truncate,        sync,    file_size, lock,
      unlock,    is_reserved, control, sector_size, characteristics, shm_map, shm_lock,  shm_barrier,
      shm_unmap, nullptr,     nullptr};

  std::string path_;
};

namespace {

int delete_file(sqlite3_vfs*, const char* name, int sync_directory) {
  const int code = real_vfs->xDelete(real_vfs, name, sync_directory);
  if (code == SQLITE_OK) current->deleted(name);
  return code;
}

// A copy of the real one whose files are ours.
sqlite3_vfs* make_vfs() {
  real_vfs = sqlite3_vfs_find(nullptr);
  static sqlite3_vfs vfs;
  vfs = *real_vfs;
  vfs.zName = "power-cut";
  vfs.szOsFile = static_cast<int>(sizeof(PowerCut::File)) + real_vfs->szOsFile;
  vfs.pNext = nullptr;
  vfs.xOpen = PowerCut::File::open;
  vfs.xDelete = delete_file;
  return &vfs;
}

}  // namespace

PowerCut::PowerCut() : vfs_(make_vfs()) {
  STERNA_ASSERT(current == nullptr);
  current = this;
  sqlite3_vfs_register(vfs_, 1);
}

PowerCut::~PowerCut() {
  sqlite3_vfs_unregister(vfs_);
  sqlite3_vfs_register(real_vfs, 1);
  current = nullptr;
}

void PowerCut::opened(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  known_.try_emplace(path, false);
}

void PowerCut::synced(const std::string& path, std::string contents) {
  const std::scoped_lock lock(mutex_);
  ++syncs_;
  if (is_cut_) return;
  known_[path] = true;
  durable_[path] = std::move(contents);
}

void PowerCut::deleted(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  if (is_cut_) return;
  known_.erase(path);
  durable_.erase(path);
}

std::uint64_t PowerCut::syncs() const {
  const std::scoped_lock lock(mutex_);
  return syncs_;
}

void PowerCut::cut(Unsynced unsynced, std::uint64_t seed) {
  const std::scoped_lock lock(mutex_);
  is_cut_ = true;
  if (unsynced == Unsynced::kLost) return;
  std::mt19937_64 chance(seed);
  for (auto& [path, contents] : durable_) contents = torn(contents, read_file(path), chance);
}

void PowerCut::restore() {
  const std::scoped_lock lock(mutex_);
  for (const auto& [path, was_synced] : known_) {
    if (was_synced) {
      write_file(path, durable_.at(path));
    } else {
      std::filesystem::remove(path);
    }
  }
  is_cut_ = false;
}

}  // namespace sterna::store::testing
