// The end of leases and of invocations.
#include "base/log.h"
#include "queue/sqlite/io.h"

namespace sterna::queue::sqlite {
namespace {

constexpr std::chrono::milliseconds kUnwritablePause = std::chrono::seconds(1);
constexpr std::size_t kExpiredAtOnce = 256;  // the writer serves others between

}  // namespace

// One that may not run any more, on its way to the disk.
struct SqliteQueue::Expiry {
  Ticket ticket;
  FunctionName function;
  std::optional<SettledRow> row{};  // nullopt: it was ended otherwise meanwhile
};

void SqliteQueue::settled(const FunctionName& function, const std::string& id, State state,
                          std::string_view reason, Delivery callback) {
  if (observer_ != nullptr) observer_->on_settled(function, id, state, std::string(reason), callback);
  if (callback == Delivery::kPending) delivery_wanted_();
}

// An attempt that ends, on its way to the disk.
struct SqliteQueue::Ending {
  Receipt receipt;
  Settlement settlement;
  Millis ahead = 0;  // Now::ahead() when it was handed in
  SettledRow row;
  Done<void> done;
};

void SqliteQueue::settle(const Receipt& receipt, Settlement settlement, Done<void> done) {
  if (schedule_.leased(receipt) == nullptr || !settling_.insert(receipt.seq).second)
    return done(stale_receipt());
  write_ending(std::make_unique<Ending>(Ending{.receipt = receipt,
                                               .settlement = std::move(settlement),
                                               .ahead = both().ahead(),
                                               .row = {},
                                               .done = std::move(done)}));
}

void SqliteQueue::write_ending(std::unique_ptr<Ending> ending) {
  Ending& in = *ending;
  const auto& answer = in.settlement.answer;
  write(
      256 + (answer ? static_cast<std::size_t>(answer->body.size()) : 0),
      [&in, at = now()](store::Database& database) -> Status {
        if (in.settlement.retry_at) {
          return update_retry(database, in.receipt.seq, in.settlement, to_millis(*in.settlement.retry_at));
        }
        auto row = update_settled(database, in.receipt.seq, in.settlement, at);
        if (!row) return std::unexpected(row.error());
        in.row = std::move(*row);
        return {};
      },
      [this, ending = std::move(ending)](const Status& status) mutable {
        on_ending(std::move(ending), status);
      });
}

void SqliteQueue::on_ending(std::unique_ptr<Ending> ending, const Status& status) {
  const std::uint64_t seq = ending->receipt.seq;
  if (!status && status.error().code != Code::kConflict) {
    loop_.after(kUnwritablePause, [this, alive = alive_, ending = std::move(ending)]() mutable {
      if (*alive) write_ending(std::move(ending));
    });
    return;
  }
  settling_.erase(seq);
  const Leased held = *schedule_.leased(seq);
  if (!status) {  // it was ended otherwise meanwhile
    schedule_.end(seq);
    return ending->done(stale_receipt());
  }
  if (const auto retry_at = ending->settlement.retry_at) {
    // At its age it is taken out, whatever its schedule says.
    schedule_.postpone(seq, to_millis(*retry_at), ending->ahead);
  } else {
    schedule_.end(seq);
    const Delivery callback = ending->row.callback_url.empty() ? Delivery::kNone : Delivery::kPending;
    const std::string id = ending->row.id;
    if (callback == Delivery::kPending) keep_delivery(seq, *held.lane, ending->row, ending->settlement);
    settled(held.lane->function, id, ending->settlement.state, ending->settlement.reason, callback);
  }
  ending->done({});
}

void SqliteQueue::give_back(const Receipt& receipt, Duration pause) {
  const Leased* held = schedule_.leased(receipt);
  if (held == nullptr || settling_.contains(receipt.seq)) return;
  const Millis wait = std::chrono::ceil<std::chrono::milliseconds>(pause).count();
  schedule_.put_back(receipt.seq, wait > 0 ? std::min(age() + wait, held->ticket.expires_at) : 0);
  if (wait <= 0) tell_ready();
}

// Many may expire at once: they go to the disk some at a time, and wait in memory as numbers.
void SqliteQueue::expire() {
  if (expiring_ || !schedule_.any_expired()) return;
  auto batch = std::make_unique<std::vector<Expiry>>();
  for (const Waiting& expired : schedule_.take_expired(kExpiredAtOnce)) {
    drop_kept(expired.ticket.seq);
    batch->push_back({.ticket = expired.ticket, .function = expired.lane->function});
  }
  if (batch->empty()) return;
  expiring_ = true;
  std::vector<Expiry>& in = *batch;
  write(
      256 * in.size(),
      [&in, at = now()](store::Database& database) -> Status {
        for (Expiry& expiry : in) {
          auto ended = update_expired(database, expiry.ticket.seq, at);
          if (!ended && ended.error().code != Code::kConflict) return std::unexpected(ended.error());
          if (ended) expiry.row = std::move(*ended);
        }
        return {};
      },
      [this, batch = std::move(batch)](const Status& status) { on_expired(*batch, status); });
}

void SqliteQueue::on_expired(const std::vector<Expiry>& batch, const Status& status) {
  for (const auto& [ticket, function, row] : batch) {
    Lane* lane = schedule_.find_lane(function.id);
    if (!status) {
      if (lane != nullptr) schedule_.put_aside(*lane, ticket);
      continue;
    }
    if (lane != nullptr) schedule_.drop(*lane, ticket);
    if (!row) continue;
    const Delivery callback = row->callback_url.empty() ? Delivery::kNone : Delivery::kPending;
    if (callback == Delivery::kPending) set_due(ticket.seq);
    settled(function, row->id, State::kExpired, kExpired, callback);
  }
  const auto go_on = [this] {
    expiring_ = false;
    expire();
  };
  if (status) return go_on();
  loop_.after(kUnwritablePause, [alive = alive_, go_on] {
    if (*alive) go_on();
  });
}

// --- what users ask for ---

void SqliteQueue::find_then(const std::string& function_id, const std::string& id, Done<Found> done) {
  const Lane* lane = schedule_.find_lane(function_id);
  if (lane == nullptr) return done(invocation_not_found());
  read(
      [key = lane->key, id](store::Database& database) -> Result<Found> {
        store::Statement row(database,
                             "SELECT seq, state, delivery, callback_url <> '', body_bytes FROM invocations"
                             " WHERE lane = ?1 AND id = ?2");
        row.bind(key, id);
        const Result<bool> there = row.step();
        if (!there) return std::unexpected(unavailable(there.error()));
        if (!*there) return invocation_not_found();
        return Found{.seq = static_cast<std::uint64_t>(row.integer(0)),
                     .state = static_cast<StoredState>(row.integer(1)),
                     .delivery = static_cast<Delivery>(row.integer(2)),
                     .has_callback = row.integer(3) != 0,
                     .body_bytes = static_cast<std::uint64_t>(row.integer(4))};
      },
      std::move(done));
}

void SqliteQueue::cancel(const std::string& function_id, const std::string& id, Done<void> done) {
  find_then(function_id, id, [this, function_id, id, done = std::move(done)](Result<Found> found) mutable {
    if (!found) return done(std::unexpected(found.error()));
    if (found->state > StoredState::kDelayed) return done(already_ended());
    // Of what a server before had begun, or what has ended but is not on disk, no attempt is known.
    const bool may_have_run = found->seq < first_seq_ || settling_.contains(found->seq);
    write(
        256,
        [cancelled = Cancellation{.seq = found->seq,
                                  .run = interruption_of(found->seq),
                                  .may_have_run = may_have_run,
                                  .at = now()}](store::Database& database) {
          return update_cancelled(database, cancelled);
        },
        [this, function_id, id, ticket = Ticket{.seq = found->seq, .kib = kib_of(found->body_bytes)},
         done = std::move(done)](const Status& status) mutable {
          if (!status && status.error().code == Code::kConflict) return done(already_ended());
          if (!status) return done(std::unexpected(unavailable(status.error())));
          if (Lane* lane = schedule_.find_lane(function_id)) {
            take_out(*lane, ticket, kCancelled);
            settled(lane->function, id, State::kCancelled, kCancelled, Delivery::kNone);
          }
          done({});
        });
  });
}

std::optional<Interruption> SqliteQueue::interruption_of(std::uint64_t seq) {
  const Leased* held = schedule_.leased(seq);
  if (held == nullptr || observer_ == nullptr) return std::nullopt;
  return observer_->interruption({.seq = seq, .epoch = held->epoch});
}

// It is settled on disk: nobody takes it any more, and who holds it stops.
void SqliteQueue::take_out(Lane& lane, const Ticket& ticket, std::string_view reason) {
  const std::uint64_t seq = ticket.seq;
  drop_kept(seq);
  const Leased* held = schedule_.leased(seq);
  if (held == nullptr) return schedule_.drop(lane, ticket);
  const Receipt receipt{.seq = seq, .epoch = held->epoch};
  // A settlement that is on its way finds the row settled, and ends as stale.
  if (!settling_.contains(seq)) schedule_.end(seq);
  if (observer_ != nullptr) observer_->on_revoked(receipt, reason);
}

void SqliteQueue::redrive(const std::string& function_id, const std::string& id, const Redrive& terms,
                          Done<void> done) {
  find_then(function_id, id,
            [this, function_id, terms, ahead = both().ahead(),
             done = std::move(done)](Result<Found> found) mutable {
              if (!found) return done(std::unexpected(found.error()));
              if (found->state != StoredState::kFailed && found->state != StoredState::kExpired)
                return done(not_failed());
              Lane* lane = schedule_.find_lane(function_id);
              // What is written after `forget` would wait for ever.
              if (lane == nullptr || lane->forgotten) return done(function_gone());
              if (auto full = no_room(*lane, terms.space_backlog))
                return done(std::unexpected(std::move(*full)));
              const Ticket ticket{.seq = found->seq,
                                  .kib = kib_of(found->body_bytes),
                                  .due = now(),
                                  .expires_at = to_millis(terms.expires_at) - ahead};
              schedule_.expect(*lane);
              write(
                  256,
                  [seq = found->seq, expires_at = to_millis(terms.expires_at)](store::Database& database) {
                    return update_redriven(database, seq, expires_at);
                  },
                  [this, function_id, ticket, done = std::move(done)](const Status& status) mutable {
                    Lane* lane = schedule_.find_lane(function_id);
                    if (lane != nullptr) schedule_.arrived(*lane);
                    if (!status) return done(std::unexpected(unavailable(status.error())));
                    if (due_.taken(ticket.seq)) superseded_.emplace(ticket.seq, false);
                    due_.remove(ticket.seq);
                    take_kept_delivery(ticket.seq);
                    // What was written is cancelled with the rest.
                    if (lane == nullptr || lane->forgotten) return done(function_gone());
                    schedule_.add_ready(*lane, ticket);
                    tell_ready();
                    done({});
                  });
            });
}

// What runs is revoked; what waits goes. The rows stay until the sweep, callbacks are still sent.
void SqliteQueue::forget(const std::string& function_id) {
  Lane* lane = schedule_.find_lane(function_id);
  if (lane == nullptr) return;
  schedule_.forget(*lane);
  for (const std::uint64_t seq : std::vector(lane->leased.begin(), lane->leased.end())) {
    // Who is told of one may end others.
    if (const Leased* held = schedule_.leased(seq)) take_out(*lane, Ticket(held->ticket), kFunctionDeleted);
  }
  kept_.clear();
  kept_bytes_ = 0;
  std::erase_if(loading_, [](const auto& ahead) { return ahead.second.empty(); });
  write(
      1024,
      [key = lane->key, at = now()](store::Database& database) {
        return store::Statement(database,
                                "UPDATE invocations SET state = ?2, reason = ?3, ended_at = ?4"
                                " WHERE lane = ?1 AND state <= 1")
            .bind(key, StoredState::kCancelled, kFunctionDeleted, at)
            .run();
      },
      [function_id](const Status& status) {
        if (status) return;
        log::warn("what waits for a deleted function could not be cancelled; the next start does it",
                  {{"function", std::string_view(function_id)},
                   {"error", std::string_view(status.error().detail)}});
      });
}

}  // namespace sterna::queue::sqlite
