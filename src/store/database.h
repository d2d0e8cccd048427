// One SQLite connection, set up so that what was committed survives a power cut.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace sterna::store {

// How much a connection may keep in memory, and how far its log may grow before it is written back.
struct DatabaseTuning {
  std::int64_t cache_kib = 2000;              // the idle server has to stay small
  std::int64_t checkpoint_pages = 1000;       // of 4 KiB
  std::int64_t log_limit_bytes = 4LL << 20U;  // what the file keeps after it was written back
};

// Makes the write-ahead log of the database at `path` at least `bytes` large, so that a commit overwrites
// blocks that the file has already: making it longer costs the file system several times as much as the data.
// Best effort: nothing is done on a file system with little room. Call before anything is written by others.
void reserve_log(const std::string& path, std::int64_t bytes);

// WAL, synchronous=FULL, foreign keys on. One thread at a time; the owner brings the mutex.
class Database {
 public:
  // Opens or creates the file at `path` (or ":memory:").
  // Fails with io, reason `store_error`, when it is no database or cannot be written; names the file.
  static Result<std::unique_ptr<Database>> open(const std::string& path, const DatabaseTuning& tuning = {});

  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // Runs one or more statements that answer no rows.
  Status execute(const std::string& sql);

  // Gives back pages that are kept to be quick, up to DatabaseTuning::cache_kib; they are read again when
  // needed.
  void release_cache();
  std::int64_t cache_bytes() const;

  // How many rows the last INSERT, UPDATE or DELETE touched.
  std::int64_t changed_rows() const;

  // Of its file; empty in memory.
  std::string path() const;

  // The schema version written in the file; 0 in a new one.
  Result<int> schema_version();

  // Why the last transaction could not be written, when the disk was the reason. Any thread.
  std::optional<Error> write_trouble() const;
  // Tells what became of a transaction (transact does).
  void note_write(const Status& written);
  // Writes what is there already, to see whether the disk takes writes again: within a transaction, and in
  // one of its own.
  Status touch();
  Status try_write();

 private:
  friend class Statement;
  explicit Database(sqlite3* handle) : handle_(handle) {}

  // A prepared statement, taken from the cache or made; nullptr when the SQL is wrong.
  sqlite3_stmt* borrow(std::string_view sql);
  void give_back(sqlite3_stmt* statement);

  sqlite3* handle_;
  std::atomic<bool> in_trouble_ = false;
  mutable std::mutex trouble_mutex_;
  std::optional<Error> trouble_;                             // guarded by trouble_mutex_
  std::vector<std::pair<std::string, sqlite3_stmt*>> idle_;  // at most kMaxIdle
  static constexpr std::size_t kMaxIdle = 64;
};

// The last failure of `handle` as an Error: `already_exists` (conflict) for a broken UNIQUE rule, `disk_full`
// (exhausted), `store_busy` (unavailable), else `store_error` (io).
Error last_error(sqlite3* handle);

// With the file's name, for who starts the server: clients are told no paths.
Error of_file(Error error, std::string_view path);

}  // namespace sterna::store
