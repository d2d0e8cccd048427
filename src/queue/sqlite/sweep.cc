// Settled invocations are kept for a time and up to a size; moving windows over the table find the old ones.
#include <algorithm>

#include "queue/sqlite/io.h"

namespace sterna::queue::sqlite {

struct Swept {
  std::uint64_t cursor = 0;       // of the window over all; 0: the end was reached
  std::uint64_t size_cursor = 0;  // the same, where there is too much
  bool too_large = false;         // still
  std::int64_t removed = 0;
};

namespace {

constexpr std::int64_t kRowsAtOnce = 500;  // the writer serves others between
constexpr Duration kPause = std::chrono::seconds(1);

constexpr std::uint64_t enough_of(std::uint64_t keep_bytes) {
  return keep_bytes - keep_bytes / 32;
}

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

// What waits to be run is no result that is kept: it must not make all of them go.
Result<std::uint64_t> kept_bytes(store::Database& database, std::uint64_t waiting) {
  const auto used = used_bytes(database);
  if (!used) return used;
  return *used - std::min(*used, waiting);
}

struct Window {
  std::uint64_t after = 0;  // seq
  Millis ended_before = 0;  // what ended later stays
  bool spares_keys = true;  // what a live idempotency key stands for stays
  Millis now = 0;
};

struct Found {
  std::vector<std::uint64_t> old;
  std::uint64_t last = 0;  // 0: there is nothing behind the window
};

// What may go of the rows of a window.
Result<Found> find_old(store::Database& database, const Window& window) {
  Found found;
  std::int64_t seen = 0;
  store::Statement rows(
      database,
      "SELECT seq, state > ?3 AND delivery <> ?4 AND ended_at < ?5 AND NOT (?6 AND EXISTS("
      "SELECT 1 FROM idempotency k WHERE k.lane = i.lane AND k.id = i.id AND k.forgotten_at > ?7))"
      " FROM invocations i WHERE seq > ?1 ORDER BY seq LIMIT ?2");
  rows.bind(window.after, kRowsAtOnce, StoredState::kDelayed, Delivery::kPending, window.ended_before,
            window.spares_keys, window.now);
  for (Result<bool> row = rows.step();; row = rows.step()) {
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    ++seen;
    found.last = static_cast<std::uint64_t>(rows.integer(0));
    if (rows.integer(1) != 0) found.old.push_back(found.last);
  }
  if (seen < kRowsAtOnce) found.last = 0;
  return found;
}

// What has been kept for long enough, in a window that moves over all rows. An answer that a key stands for
// is kept as long as the key.
Status sweep_old(store::Database& database, const Window& window, Swept& swept) {
  const auto found = find_old(database, window);
  if (!found) return std::unexpected(found.error());
  for (const std::uint64_t seq : found->old) {
    if (const Status gone = remove(database, seq); !gone) return gone;
  }
  swept.cursor = found->last;
  swept.removed += static_cast<std::int64_t>(found->old.size());
  return {};
}

struct Room {
  std::uint64_t keep = 0;     // bytes
  std::uint64_t waiting = 0;  // bytes of what waits to be run
};

// Where there is too much, the oldest go until there is not.
Status sweep_size(store::Database& database, const Window& window, const Room& room, Swept& swept) {
  auto kept = kept_bytes(database, room.waiting);
  if (!kept) return std::unexpected(kept.error());
  // Once begun it frees a little more than it must, so that it need not begin again at once.
  const std::uint64_t enough = window.after == 0 && window.spares_keys ? room.keep : enough_of(room.keep);
  if (*kept <= enough) return {};
  const auto found = find_old(database, window);
  if (!found) return std::unexpected(found.error());
  swept.size_cursor = found->last;
  swept.too_large = true;
  for (const std::uint64_t seq : found->old) {
    if (const Status gone = remove(database, seq); !gone) return gone;
    ++swept.removed;
    kept = kept_bytes(database, room.waiting);
    if (!kept) return std::unexpected(kept.error());
    swept.too_large = *kept > enough_of(room.keep);
    if (!swept.too_large) break;
  }
  return {};
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
    if (schedule_.is_over(*lane)) call->forgotten.push_back(lane->key);
  }
  Call& in = *call;
  sweeping_ = true;
  const Millis at = std::min(now(), age());  // what a clock that is ahead calls old need not be it
  const Window old{.after = sweep_cursor_,
                   .ended_before = at - limits_.keep_settled / std::chrono::milliseconds(1),
                   .spares_keys = true,
                   .now = at};
  const Window oldest{
      .after = size_cursor_, .ended_before = INT64_MAX, .spares_keys = spares_keys_, .now = at};
  const Room room{.keep = limits_.keep_bytes, .waiting = schedule_.waiting_bytes()};
  write(
      1024,
      [&in, old, oldest, room](store::Database& database) -> Status {
        if (const Status swept = sweep_old(database, old, in.swept); !swept) return swept;
        if (const Status swept = sweep_size(database, oldest, room, in.swept); !swept) return swept;
        if (const Status gone = remove_lanes(database, in.forgotten, in.empty); !gone) return gone;
        return store::Statement(database, "DELETE FROM idempotency WHERE forgotten_at < ?1")
            .bind(old.now)
            .run();
      },
      [this, call = std::move(call)](const Status& status) {
        sweeping_ = false;
        next_sweep_ = loop_.clock().now() + kPause;
        if (!status) return;
        after_sweep(call->swept);
        for (const std::int64_t lane : call->empty) schedule_.erase_lane(lane);
      });
}

void SqliteQueue::after_sweep(const Swept& swept) {
  sweep_cursor_ = swept.cursor;
  const bool was_last = swept.too_large && swept.size_cursor == 0 && !spares_keys_;
  // Behind the last one it begins again: with what keys stand for, which goes last.
  if (!swept.too_large || swept.size_cursor == 0) spares_keys_ = !(swept.too_large && spares_keys_);
  size_cursor_ = swept.too_large ? swept.size_cursor : 0;
  // Where there was something to remove there is more.
  if (swept.removed > 0 || (swept.too_large && !was_last)) next_sweep_ = loop_.clock().now();
}

}  // namespace sterna::queue::sqlite
