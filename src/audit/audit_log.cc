#include "audit/audit_log.h"

#include <array>
#include <utility>

#include "base/log.h"
#include "store/migrations.h"
#include "store/statement.h"

namespace sterna::audit {

using store::Statement;

namespace {

constexpr std::string_view kTables = R"sql(
CREATE TABLE entries(
  id TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  space TEXT NOT NULL,
  app TEXT NOT NULL,
  app_name TEXT NOT NULL,
  address TEXT NOT NULL,
  method TEXT NOT NULL,
  path TEXT NOT NULL,
  status INTEGER NOT NULL,
  reason TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX entries_space ON entries(space, id);
)sql";

constexpr std::string_view kLeftOut = "ALTER TABLE entries ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0";

constexpr std::array kSteps = {kTables, kLeftOut};

// Trimming at each entry would cost more than the entry.
constexpr std::int64_t kTrimEvery = 100;

Entry read_entry(const Statement& row) {
  return {.id = row.text(0),
          .at = WallTime(std::chrono::milliseconds(row.integer(1))),
          .space = row.text(2),
          .app = row.text(3),
          .app_name = row.text(4),
          .address = row.text(5),
          .method = row.text(6),
          .path = row.text(7),
          .status = static_cast<int>(row.integer(8)),
          .reason = row.text(9),
          .left_out = row.integer(10)};
}

}  // namespace

AuditLog::AuditLog(std::unique_ptr<store::Database> database, const Clock& clock, const AuditLimits& limits)
    : clock_(clock),
      limits_(limits),
      failures_(clock, limits.failures_per_minute),
      database_(std::move(database)),
      ids_(clock) {}

AuditLog::~AuditLog() {
  const std::scoped_lock lock(mutex_);
  if (auto left_out = failures_.take_all(); !left_out.empty()) {
    if (const Status kept = insert_all(std::move(left_out)); !kept)
      log::warn("cannot write the audit log", {{"error", std::string_view(kept.error().detail)}});
  }
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& path, const Clock& clock,
                                                 const AuditLimits& limits) {
  auto database = store::Database::open(path);
  if (!database) return std::unexpected(database.error());
  if (const Status done = store::migrate(**database, kSteps); !done) return std::unexpected(done.error());
  return std::unique_ptr<AuditLog>(new AuditLog(std::move(*database), clock, limits));
}

Status AuditLog::record(Entry entry) {
  const std::scoped_lock lock(mutex_);
  std::vector<Entry> entries = failures_.take_over();
  entries.push_back(std::move(entry));
  return insert_all(std::move(entries));
}

Status AuditLog::insert_all(std::vector<Entry> entries) {
  return store::transact(*database_, [&]() -> Status {
    for (Entry& entry : entries) {
      if (const Status inserted = insert(std::move(entry)); !inserted) return inserted;
    }
    return {};
  });
}

Status AuditLog::insert(Entry entry) {
  if (entry.path.size() > limits_.max_path_bytes) entry.path.resize(limits_.max_path_bytes);
  const Status inserted =
      Statement(*database_, "INSERT INTO entries VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")
          .bind(ids_.next(), clock_.wall().time_since_epoch().count(), entry.space, entry.app, entry.app_name,
                entry.address, entry.method, entry.path, entry.status, entry.reason, entry.left_out)
          .run();
  if (!inserted) return inserted;
  std::int64_t& recorded = recorded_[entry.space];
  if (recorded++ % kTrimEvery != 0) return {};
  return drop_oldest(entry.space);
}

Status AuditLog::try_write() {
  const std::scoped_lock lock(mutex_);
  return database_->try_write();
}

Status AuditLog::drop_oldest(const std::string& space) {
  static constexpr std::string_view kDropChanges =
      "DELETE FROM entries WHERE space = ?1 AND status < 400 AND id <= (SELECT id FROM entries WHERE space = "
      "?1"
      " AND status < 400 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
  static constexpr std::string_view kDropFailures =
      "DELETE FROM entries WHERE space = ?1 AND status >= 400 AND id <= (SELECT id FROM entries WHERE space "
      "= ?1"
      " AND status >= 400 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
  const Status dropped = Statement(*database_, kDropChanges).bind(space, limits_.changes_per_space).run();
  if (!dropped) return dropped;
  return Statement(*database_, kDropFailures).bind(space, limits_.failures_per_space).run();
}

Result<Page> AuditLog::list(const std::optional<std::string>& space, WallTime since, const api::Page& page) {
  constexpr std::string_view kEnd = "~";  // after every ULID
  static constexpr std::string_view kColumns =
      "SELECT id, at, space, app, app_name, address, method, path, status, reason, left_out FROM "
      "entries ";
  static const std::string kOfSpace =
      std::string(kColumns) + "WHERE space = ?1 AND id < ?2 AND at >= ?3 ORDER BY id DESC LIMIT ?4";
  static const std::string kOfAll =
      std::string(kColumns) + "WHERE ?1 IS NULL AND id < ?2 AND at >= ?3 ORDER BY id DESC LIMIT ?4";
  const std::scoped_lock lock(mutex_);
  if (auto left_out = failures_.take_over(); !left_out.empty()) {
    if (const Status kept = insert_all(std::move(left_out)); !kept) return std::unexpected(kept.error());
  }
  Statement query(*database_, space ? kOfSpace : kOfAll);
  query.bind(space, page.after.empty() ? kEnd : std::string_view(page.after),
             since.time_since_epoch().count(), page.limit + 1);
  Page listed;
  while (true) {
    const Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return listed;
    if (listed.entries.size() == page.limit) {
      listed.next_cursor = api::make_cursor(listed.entries.back().id);
      return listed;
    }
    listed.entries.push_back(read_entry(query));
  }
}

}  // namespace sterna::audit
