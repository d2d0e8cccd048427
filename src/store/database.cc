#include "store/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/unique_fd.h"
#include "store/statement.h"

namespace sterna::store {
namespace {

constexpr int kBusyTimeoutMs = 5000;
constexpr std::string_view kDiskFull = "disk_full";
constexpr std::uint64_t kReserveShare = 20;  // of the free space, at most one part in so many is reserved

constexpr const char* kPragmas =
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA foreign_keys=ON;"
    "PRAGMA trusted_schema=OFF;";

std::string pragmas(const DatabaseTuning& tuning) {
  return std::string(kPragmas) + "PRAGMA cache_size=-" + std::to_string(tuning.cache_kib) +
         ";PRAGMA wal_autocheckpoint=" + std::to_string(tuning.checkpoint_pages) +
         ";PRAGMA journal_size_limit=" + std::to_string(tuning.log_limit_bytes);
}

// SQLite's own word for a full disk leaves out a quota, and that no file can be made beside the database.
bool is_out_of_room(sqlite3* handle, int code) {
  const int kind = code & 0xff;
  if (kind != SQLITE_IOERR && kind != SQLITE_CANTOPEN) return false;
  const int error = sqlite3_system_errno(handle);
  return error == ENOSPC || error == EDQUOT;
}

}  // namespace

Error last_error(sqlite3* handle) {
  const int code = sqlite3_extended_errcode(handle);
  Error error{Code::kIo, Component::kRegistry, "store_error",
              std::string("database: ") + sqlite3_errmsg(handle)};
  if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) {
    error.code = Code::kConflict;
    error.reason = "already_exists";
  } else if ((code & 0xff) == SQLITE_FULL || is_out_of_room(handle, code)) {
    error.code = Code::kExhausted;
    error.reason = kDiskFull;
  } else if ((code & 0xff) == SQLITE_BUSY) {
    error.code = Code::kUnavailable;
    error.reason = "store_busy";
  }
  return error;
}

Error of_file(Error error, std::string_view path) {
  if (!path.empty()) error.detail = std::string(path) + ": " + error.detail;
  return error;
}

// SQLite finds its frames by their number and checksum: zeros behind them mean nothing to it.
void reserve_log(const std::string& path, std::int64_t bytes) {
  const UniqueFd log(::open((path + "-wal").c_str(), O_WRONLY | O_CLOEXEC));
  struct stat status{};
  struct statvfs room{};
  if (!log || ::fstat(log.get(), &status) != 0 || ::fstatvfs(log.get(), &room) != 0) return;
  if (room.f_bavail * room.f_frsize < kReserveShare * static_cast<std::uint64_t>(bytes)) return;
  const std::string zeros(1U << 20U, '\0');
  for (off_t at = status.st_size; at < bytes;) {
    const ssize_t written = ::pwrite(log.get(), zeros.data(), zeros.size(), at);
    if (written <= 0) return;
    at += written;
  }
  ::fsync(log.get());
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, const DatabaseTuning& tuning) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Database> database(new Database(handle));  // closes the handle of a failed open too
  if (code != SQLITE_OK) return std::unexpected(of_file(last_error(handle), path));
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  if (Status set = database->execute(pragmas(tuning)); !set)
    return std::unexpected(of_file(set.error(), path));
  return database;
}

std::string Database::path() const {
  const char* const path = sqlite3_db_filename(handle_, "main");
  return path == nullptr ? "" : path;
}

Database::~Database() {
  for (const auto& [sql, statement] : idle_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

Status Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return std::unexpected(last_error(handle_));
  }
  return {};
}

std::int64_t Database::changed_rows() const {
  return sqlite3_changes64(handle_);
}

Result<int> Database::schema_version() {
  Statement query(*this, "PRAGMA user_version");
  Result<bool> row = query.step();
  if (!row) return std::unexpected(row.error());
  return static_cast<int>(query.integer(0));
}

std::optional<Error> Database::write_trouble() const {
  if (!in_trouble_) return std::nullopt;
  const std::scoped_lock lock(trouble_mutex_);
  return trouble_;
}

void Database::note_write(const Status& written) {
  const bool by_disk = !written && (written.error().code == Code::kIo || written.error().reason == kDiskFull);
  if (written && !in_trouble_) return;  // mostly
  if (!written && !by_disk) return;     // says nothing about the disk
  const std::scoped_lock lock(trouble_mutex_);
  trouble_ = by_disk ? std::optional(written.error()) : std::nullopt;
  in_trouble_ = by_disk;
}

void Database::release_cache() {
  sqlite3_db_release_memory(handle_);
}

std::int64_t Database::cache_bytes() const {
  int now = 0;
  int highest = 0;
  sqlite3_db_status(handle_, SQLITE_DBSTATUS_CACHE_USED, &now, &highest, 0);
  return now;
}

Status Database::touch() {
  const Result<int> version = schema_version();
  if (!version) return std::unexpected(version.error());
  return execute("PRAGMA user_version=" + std::to_string(*version));
}

Status Database::try_write() {
  return transact(*this, [this] { return touch(); });
}

sqlite3_stmt* Database::borrow(std::string_view sql) {
  const auto found =
      std::ranges::find(idle_, sql, [](const auto& entry) { return std::string_view(entry.first); });
  if (found != idle_.end()) {
    sqlite3_stmt* statement = found->second;
    idle_.erase(found);
    return statement;
  }
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement,
                     nullptr);
  return statement;
}

void Database::give_back(sqlite3_stmt* statement) {
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  if (idle_.size() >= kMaxIdle) {
    sqlite3_finalize(idle_.front().second);  // the one unused for longest
    idle_.erase(idle_.begin());
  }
  idle_.emplace_back(sqlite3_sql(statement), statement);
}

}  // namespace sterna::store
