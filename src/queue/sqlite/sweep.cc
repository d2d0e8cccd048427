// Settled invocations are kept for a time and up to a size; a moving window over the table finds the old
// ones.
#include "base/log.h"
#include "queue/sqlite/io.h"

namespace sterna::queue::sqlite {
namespace {

constexpr std::int64_t kRowsAtOnce = 500;  // the writer serves others between
constexpr Duration kPause = std::chrono::seconds(1);

struct Swept {
  std::uint64_t cursor = 0;  // 0: the end was reached
  std::int64_t removed = 0;
};

// Bytes of the database that are in use.
Result<std::uint64_t> used_bytes(store::Database& database) {
  store::Statement pages(database,
                         "SELECT (page_count - freelist_count) * page_size"
                         " FROM pragma_page_count, pragma_freelist_count, pragma_page_size");
  if (const Result<bool> row = pages.step(); !row) return std::unexpected(row.error());
  return static_cast<std::uint64_t>(pages.integer(0));
}

Status remove(store::Database& database, std::uint64_t seq) {
  for (const std::string_view sql :
       {"DELETE FROM invocations WHERE seq = ?1", "DELETE FROM parts WHERE seq = ?1"}) {
    if (const Status gone = store::Statement(database, sql).bind(seq).run(); !gone) return gone;
  }
  return {};
}

Result<Swept> sweep_rows(store::Database& database, std::uint64_t cursor, Millis keep_after,
                         std::uint64_t keep_bytes) {
  const auto used = used_bytes(database);
  if (!used) return std::unexpected(used.error());
  const bool too_large = *used > keep_bytes;
  std::vector<std::uint64_t> old;
  Swept swept;
  {
    std::int64_t seen = 0;
    store::Statement rows(database,
                          "SELECT seq, state, ended_at, delivery FROM invocations WHERE seq > ?1"
                          " ORDER BY seq LIMIT ?2");
    rows.bind(cursor, kRowsAtOnce);
    for (Result<bool> row = rows.step();; row = rows.step()) {
      if (!row) return std::unexpected(row.error());
      if (!*row) break;
      ++seen;
      swept.cursor = static_cast<std::uint64_t>(rows.integer(0));
      const bool settled = rows.integer(1) > static_cast<int>(StoredState::kDelayed);
      const bool sending = rows.integer(3) == static_cast<int>(Delivery::kPending);
      if (settled && !sending && (too_large || rows.integer(2) < keep_after)) old.push_back(swept.cursor);
    }
    if (seen < kRowsAtOnce) swept.cursor = 0;
  }
  for (const std::uint64_t seq : old) {
    if (const Status gone = remove(database, seq); !gone) return std::unexpected(gone.error());
  }
  swept.removed = static_cast<std::int64_t>(old.size());
  return swept;
}

// Lanes of functions that are gone, once nothing of theirs is left.
Status remove_lanes(store::Database& database, const std::vector<std::int64_t>& forgotten,
                    std::vector<std::int64_t>& empty) {
  for (const std::int64_t lane : forgotten) {
    store::Statement rest(database, "SELECT 1 FROM invocations WHERE lane = ?1 LIMIT 1");
    rest.bind(lane);
    const Result<bool> any = rest.step();
    if (!any) return std::unexpected(any.error());
    if (*any) continue;
    for (const std::string_view sql :
         {"DELETE FROM lanes WHERE lane = ?1", "DELETE FROM idempotency WHERE lane = ?1"}) {
      if (const Status gone = store::Statement(database, sql).bind(lane).run(); !gone) return gone;
    }
    empty.push_back(lane);
  }
  return {};
}

}  // namespace

void SqliteQueue::sweep() {
  struct Call {
    std::vector<std::int64_t> forgotten;
    std::vector<std::int64_t> empty;
    Swept swept;
  };
  auto call = std::make_unique<Call>();
  for (const auto& [id, lane] : schedule_.lanes()) {
    if (lane->forgotten && lane->waiting == 0 && lane->arriving == 0) call->forgotten.push_back(lane->key);
  }
  Call& in = *call;
  sweeping_ = true;
  write(
      1024,
      [&in, cursor = sweep_cursor_, at = now(), limits = limits_](store::Database& database) -> Status {
        const Millis keep_after = at - limits.keep_settled / std::chrono::milliseconds(1);
        auto swept = sweep_rows(database, cursor, keep_after, limits.keep_bytes);
        if (!swept) return std::unexpected(swept.error());
        in.swept = *swept;
        if (const Status gone = remove_lanes(database, in.forgotten, in.empty); !gone) return gone;
        return store::Statement(database, "DELETE FROM idempotency WHERE forgotten_at < ?1").bind(at).run();
      },
      [this, call = std::move(call)](const Status& status) {
        sweeping_ = false;
        // Where there was something to remove there is more.
        next_sweep_ = loop_.clock().now() + (status && call->swept.removed > 0 ? Duration::zero() : kPause);
        if (!status) return;
        sweep_cursor_ = call->swept.cursor;
        for (const std::int64_t lane : call->empty) schedule_.erase_lane(lane);
      });
}

}  // namespace sterna::queue::sqlite
