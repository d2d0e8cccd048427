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
#include "base/clock.h"
#include "base/error.h"
#include "base/ulid.h"
#include "store/database.h"

namespace sterna::audit {

// Never holds a body, a query, or a token: what is secret is in none of its fields.
struct Entry {
  std::string id;  // a ULID, which orders them; made by `record`
  WallTime at;     // set by `record`
  std::string space;
  std::string app;       // id; empty: access was not checked
  std::string app_name;  // as it was called then
  std::string address;   // of the client
  std::string method;
  std::string path;
  int status = 0;
  std::string reason;  // of a refusal or failure; else empty
};

struct AuditLimits {
  std::int64_t entries_per_space = 10'000;  // the oldest go; calls that belong to no space count as one
  std::size_t max_path_bytes = 512;         // longer ones are cut
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

  // The entry is on disk when this returns.
  Status record(Entry entry);

  // Why the last entry could not be written, when the disk was the reason; and a try that changes nothing.
  std::optional<Error> write_trouble() const { return database_->write_trouble(); }
  Status try_write();

  // Of one space from `since` on: an earlier space of that name had other owners. nullopt: of all.
  Result<Page> list(const std::optional<std::string>& space, WallTime since, const api::Page& page);

 private:
  AuditLog(std::unique_ptr<store::Database> database, const Clock& clock, const AuditLimits& limits);
  Status drop_oldest(const std::string& space);

  const Clock& clock_;
  const AuditLimits limits_;
  std::mutex mutex_;
  std::unique_ptr<store::Database> database_;  // guarded by mutex_
  UlidGenerator ids_;                          // guarded by mutex_
  std::unordered_map<std::string, std::int64_t>
      recorded_;  // by space, since it was trimmed; guarded by mutex_
};

}  // namespace sterna::audit
