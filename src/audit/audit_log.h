// Who changed what: one entry for each management call that changes something, kept in a database of its own.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/paging.h"
#include "audit/entry.h"
#include "audit/failure_limit.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/ulid.h"
#include "store/database.h"

namespace sterna::audit {

struct AuditLimits {
  // The oldest go; calls that belong to no space count as one. What failed is counted apart, so that it
  // cannot push out what was changed.
  std::int64_t changes_per_space = 10'000;
  std::int64_t failures_per_space = 2'000;
  std::int64_t failures_per_minute = 60;  // of each app; the others are one entry with their number
  std::size_t max_path_bytes = 512;       // longer ones are cut
};

struct Page {
  std::vector<Entry> entries;  // newest first
  std::optional<std::string> next_cursor;
};

// Any thread; every call blocks on the disk.
class AuditLog {
 public:
  // Opens or creates the database file (or ":memory:"). `clock` must outlive it.
  static Result<std::unique_ptr<AuditLog>> open(const std::string& path, const Clock& clock,
                                                const AuditLimits& limits = {});
  ~AuditLog();  // writes down how many failures were left out
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // The entry is on disk when this returns. Of failures ask `admits` before.
  Status record(Entry entry);

  // These two do not block. Whether a failure is to be recorded; one that is not admitted, or is left out, is
  // counted, and an entry with their number is written when the minute is over.
  bool admits(const Entry& failed) { return failures_.admits(failed); }
  void leave_out(const Entry& failed) { failures_.leave_out(failed); }

  // Why the last entry could not be written, when the disk was the reason; and a try that changes nothing.
  std::optional<Error> write_trouble() const { return database_->write_trouble(); }
  Status try_write();

  // Of one space from `since` on: an earlier space of that name had other owners. nullopt: of all.
  Result<Page> list(const std::optional<std::string>& space, WallTime since, const api::Page& page);

 private:
  AuditLog(std::unique_ptr<store::Database> database, const Clock& clock, const AuditLimits& limits);
  Status insert(Entry entry);
  Status drop_oldest(const std::string& space);
  Status insert_all(std::vector<Entry> entries);

  const Clock& clock_;
  const AuditLimits limits_;
  FailureLimit failures_;
  std::mutex mutex_;
  std::unique_ptr<store::Database> database_;  // guarded by mutex_
  UlidGenerator ids_;                          // guarded by mutex_
  std::unordered_map<std::string, std::int64_t>
      recorded_;  // by space, since it was trimmed; guarded by mutex_
};

}  // namespace sterna::audit
