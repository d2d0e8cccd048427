// Looking at invocations. Rows are read on the reader's thread; what runs is known on the loop only.
#include <algorithm>
#include <map>

#include "api/paging.h"
#include "base/number.h"
#include "queue/sqlite/io.h"

namespace sterna::queue::sqlite {
namespace {

constexpr std::array kAllStates{StoredState::kReady,  StoredState::kDelayed,   StoredState::kSucceeded,
                                StoredState::kFailed, StoredState::kCancelled, StoredState::kExpired};

constexpr std::array kAllDeliveries{Delivery::kNone, Delivery::kPending, Delivery::kDelivered,
                                    Delivery::kUndeliverable};

struct ListQuery {
  std::int64_t lane = 0;
  FunctionName function;
  Filter filter;
  std::size_t limit = 0;
  std::uint64_t before = INT64_MAX;         // seq
  std::map<std::uint64_t, Millis> running;  // seq and since when
};

using Seqs = std::vector<std::uint64_t>;

// The newest of one state, at most `limit` for each delivery.
Status add_seqs(store::Database& database, const ListQuery& query, StoredState state, std::size_t limit,
                Seqs& seqs) {
  for (const Delivery delivery : kAllDeliveries) {
    if (query.filter.delivery.value_or(delivery) != delivery) continue;
    store::Statement rows(database, kListSql);
    rows.bind(query.lane, state, delivery, query.before, limit);
    while (true) {
      const Result<bool> more = rows.step();
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      seqs.push_back(static_cast<std::uint64_t>(rows.integer(0)));
    }
  }
  return {};
}

// One more than a page, newest first.
Result<Seqs> find_seqs(store::Database& database, const ListQuery& query) {
  const auto& wanted = query.filter.state;
  Seqs seqs;
  if (wanted == State::kRunning && query.filter.delivery.value_or(Delivery::kNone) != Delivery::kNone)
    return seqs;  // only what has ended has a callback to send
  if (wanted == State::kRunning) {
    for (const auto& [seq, since] : query.running) {
      if (seq < query.before) seqs.push_back(seq);
    }
  } else {
    for (const StoredState state : kAllStates) {
      if (wanted && state_of(state) != *wanted) continue;
      const std::size_t limit = query.limit + 1 + (state <= StoredState::kDelayed ? query.running.size() : 0);
      if (const Status added = add_seqs(database, query, state, limit, seqs); !added)
        return std::unexpected(added.error());
    }
    if (wanted == State::kQueued) std::erase_if(seqs, [&](auto seq) { return query.running.contains(seq); });
  }
  std::ranges::sort(seqs, std::greater<>());
  if (seqs.size() > query.limit + 1) seqs.resize(query.limit + 1);
  return seqs;
}

void mark_running(Record& record, Millis since) {
  if (record.state != State::kQueued) return;
  record.state = State::kRunning;
  if (!record.started_at) record.started_at = from_millis(since);
}

Result<Listing> read_listing(store::Database& database, const ListQuery& query) {
  const auto seqs = find_seqs(database, query);
  if (!seqs) return std::unexpected(unavailable(seqs.error()));
  Listing listing;
  std::uint64_t last = 0;
  for (const std::uint64_t seq : *seqs) {
    if (listing.records.size() == query.limit) {
      listing.next_cursor = std::to_string(last);
      break;
    }
    store::Statement row(database,
                         "SELECT " + std::string(kRecordColumns) + " FROM invocations WHERE seq = ?1");
    row.bind(seq);
    const Result<bool> there = row.step();
    if (!there) return std::unexpected(unavailable(there.error()));
    if (!*there) continue;
    listing.records.push_back(read_record(row, query.function));
    if (const auto runs = query.running.find(seq); runs != query.running.end())
      mark_running(listing.records.back(), runs->second);
    last = seq;
  }
  return listing;
}

}  // namespace

void SqliteQueue::find(const std::string& function_id, const std::string& id, Done<Record> done) {
  const Lane* lane = schedule_.find_lane(function_id);
  if (lane == nullptr) return done(invocation_not_found());
  using Row = std::pair<std::uint64_t, Record>;
  read(
      [key = lane->key, function = lane->function, id](store::Database& database) -> Result<Row> {
        store::Statement row(database, "SELECT " + std::string(kRecordColumns) +
                                           " FROM invocations WHERE lane = ?1 AND id = ?2");
        row.bind(key, id);
        const Result<bool> there = row.step();
        if (!there) return std::unexpected(unavailable(there.error()));
        if (!*there) return invocation_not_found();
        return Row(static_cast<std::uint64_t>(row.integer(0)), read_record(row, function));
      },
      [this, done = std::move(done)](Result<Row> row) mutable {
        if (!row) return done(std::unexpected(row.error()));
        const Leased* held = schedule_.leased(row->first);
        if (held != nullptr && is_running(*held)) mark_running(row->second, held->taken_at);
        done(std::move(row->second));
      });
}

void SqliteQueue::list(const std::string& function_id, const Filter& filter, std::size_t limit,
                       const std::string& cursor, Done<Listing> done) {
  ListQuery query;
  query.filter = filter;
  query.limit = limit;
  if (!cursor.empty()) {
    const auto before = parse_number<decltype(query.before)>(cursor);
    if (!before) return done(bad_cursor());
    query.before = *before;
  }
  const Lane* lane = schedule_.find_lane(function_id);
  if (lane == nullptr) return done(Listing{});
  query.lane = lane->key;
  query.function = lane->function;
  for (const std::uint64_t seq : lane->leased) {
    const Leased& held = *schedule_.leased(seq);
    if (is_running(held)) query.running.emplace(seq, held.taken_at);
  }
  read([query = std::move(query)](store::Database& database) { return read_listing(database, query); },
       std::move(done));
}

void SqliteQueue::answer(const std::string& function_id, const std::string& id, Done<StoredAnswer> done) {
  const Lane* lane = schedule_.find_lane(function_id);
  if (lane == nullptr) return done(invocation_not_found());
  read(
      [key = lane->key, id, answers = answers_](store::Database& database) -> Result<StoredAnswer> {
        store::Statement row(database,
                             "SELECT seq, state, status, header_count, headers, answer, answer_bytes"
                             " FROM invocations WHERE lane = ?1 AND id = ?2");
        row.bind(key, id);
        const Result<bool> there = row.step();
        if (!there) return std::unexpected(unavailable(there.error()));
        if (!*there) return invocation_not_found();
        if (row.integer(1) <= static_cast<int>(StoredState::kDelayed)) return not_ended();
        if (row.integer(1) == static_cast<int>(StoredState::kCancelled)) return no_answer();
        StoredAnswer answer{.status_code = static_cast<int>(row.integer(2)),
                            .header_count = static_cast<std::uint32_t>(row.integer(3)),
                            .headers = std::string(row.blob(4)),
                            .body = {}};
        const auto size = static_cast<std::uint64_t>(row.integer(6));
        const std::string_view in_row = row.blob(5);
        answer.body = size == in_row.size()
                          ? small_body(std::string(in_row))
                          : stored_body(answers, static_cast<std::uint64_t>(row.integer(0)), size);
        return answer;
      },
      std::move(done));
}

}  // namespace sterna::queue::sqlite
