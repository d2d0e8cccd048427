// Callbacks: what is due, and what came of it.
#include "base/log.h"
#include "queue/sqlite/io.h"

namespace sterna::queue::sqlite {
namespace {

constexpr Millis kUnreadablePause = 1000;
// Past this the log of deliveries grows no more; redeliveries may be asked for without end.
constexpr std::size_t kMaxDeliveryLog = 16U << 10U;

Result<DueDelivery> load_delivery(store::Database& database, std::uint64_t seq,
                                  const std::shared_ptr<PartSource>& answers) {
  store::Statement row(database,
                       "SELECT i.id, i.callback_url, i.status, i.attempt_count, i.run_started_at,"
                       " i.run_us, i.delivery_tried, i.header_count, i.headers, i.answer, i.answer_bytes,"
                       " l.function, l.space, l.name, l.space_made_at"
                       " FROM invocations i JOIN lanes l ON l.lane = i.lane"
                       " WHERE i.seq = ?1 AND i.delivery = 1");
  row.bind(seq);
  const Result<bool> there = row.step();
  if (!there) return std::unexpected(there.error());
  if (!*there) return invocation_not_found();
  DueDelivery due{.seq = seq,
                  .function = {.id = row.text(11), .space = row.text(12), .name = row.text(13)},
                  .id = row.text(0),
                  .callback_url = row.text(1),
                  .status_code = static_cast<int>(row.integer(2)),
                  .attempt = row.integer(3),
                  .started_at = from_millis(row.integer(4)),
                  .duration = std::chrono::microseconds(row.integer(5)),
                  .tried = row.integer(6),
                  .header_count = static_cast<std::uint32_t>(row.integer(7)),
                  .headers = std::string(row.blob(8)),
                  .body = std::string(row.blob(9)),
                  .large = {}};
  if (const auto at = row.optional_integer(14)) due.function.space_made_at = from_millis(*at);
  const auto size = static_cast<std::uint64_t>(row.integer(10));
  if (size != due.body.size()) due.large = stored_body(answers, seq, size);
  return due;
}

}  // namespace

// A small answer that was just settled is sent from memory.
void SqliteQueue::keep_delivery(std::uint64_t seq, const Lane& lane, SettledRow& row,
                                const Settlement& settlement) {
  set_due(seq);
  if (!settlement.attempt) return;
  if (settlement.answer && !is_inline(settlement.answer->body)) return;
  DueDelivery kept{.seq = seq,
                   .function = lane.function,
                   .id = std::move(row.id),
                   .callback_url = std::move(row.callback_url),
                   .status_code = 0,
                   .attempt = row.attempt,
                   .started_at = settlement.attempt->started_at,
                   .duration = std::chrono::floor<std::chrono::microseconds>(settlement.attempt->duration),
                   .tried = 0,
                   .since = loop_.clock().now(),
                   .header_count = 0,
                   .headers = {},
                   .body = {},
                   .large = {}};
  if (settlement.answer) {
    kept.status_code = settlement.answer->status_code;
    kept.header_count = settlement.answer->header_count;
    kept.headers = settlement.answer->headers;
    kept.body = settlement.answer->body.memory();
  }
  const std::size_t bytes = kept.headers.size() + kept.body.size() + kept.callback_url.size();
  if (kept_delivery_bytes_ + bytes > limits_.memory_bytes) return;
  kept_delivery_bytes_ += bytes;
  kept_deliveries_.emplace(seq, std::move(kept));
}

std::optional<DueDelivery> SqliteQueue::take_kept_delivery(std::uint64_t seq) {
  const auto kept = kept_deliveries_.find(seq);
  if (kept == kept_deliveries_.end()) return std::nullopt;
  DueDelivery delivery = std::move(kept->second);
  kept_deliveries_.erase(kept);
  kept_delivery_bytes_ -= delivery.headers.size() + delivery.body.size() + delivery.callback_url.size();
  return delivery;
}

// The callback of a new answer, not before that of the one before has its end.
void SqliteQueue::set_due(std::uint64_t seq) {
  const auto before = superseded_.find(seq);
  if (before == superseded_.end()) return due_now(seq);
  if (!std::exchange(before->second, true)) ++postponed_;
}

void SqliteQueue::due_now(std::uint64_t seq) {
  const MonotonicTime at = loop_.clock().now();
  due_.add(seq, {.due = at, .since = at});
}

// Whether it was the callback of an answer from before a redrive that has come to its end.
bool SqliteQueue::end_superseded(std::uint64_t seq) {
  const auto ended = superseded_.extract(seq);
  if (ended.empty()) return false;
  if (ended.mapped()) {
    --postponed_;
    due_now(seq);
    delivery_wanted_();
  }
  return true;
}

bool SqliteQueue::take_delivery(Done<DueDelivery> done) {
  const std::optional<std::uint64_t> seq = due_.take(loop_.clock().now());
  if (!seq) return false;
  if (std::optional<DueDelivery> kept = take_kept_delivery(*seq)) {
    done(std::move(*kept));
    return true;
  }
  read([seq = *seq,
        answers = answers_](store::Database& database) { return load_delivery(database, seq, answers); },
       [this, seq = *seq, done = std::move(done)](Result<DueDelivery> delivery) mutable {
         if (!delivery && !end_superseded(seq)) {
           if (delivery.error().code == Code::kNotFound) due_.remove(seq);
           if (delivery.error().code != Code::kNotFound)
             due_.move(seq, monotonic_of(now() + kUnreadablePause));
         }
         if (delivery) delivery->since = due_.since(seq).value_or(loop_.clock().now());
         done(std::move(delivery));
       });
  return true;
}

// A callback that could not be recorded is sent again: at least once.
void SqliteQueue::end_delivery(std::uint64_t seq, DeliveryEnd end) {
  if (end_superseded(seq)) return;
  const Delivery state = end.again_at ? Delivery::kPending : end.end;
  const Millis due = end.again_at ? to_millis(*end.again_at) : 0;
  const MonotonicTime due_here = monotonic_of(due);
  if (!end.tried && end.again_at) return due_.move(seq, due_here);
  write(
      256,
      [seq, state, due, tried = std::move(end.tried)](store::Database& database) -> Status {
        const std::string text = tried ? delivery_text(*tried) : std::string();
        return store::Statement(database,
                                "UPDATE invocations SET delivery = ?2, delivery_due = ?3,"
                                " delivery_tried = delivery_tried + 1,"
                                " deliveries = iif(length(deliveries) < ?5, deliveries || ?4, deliveries)"
                                " WHERE seq = ?1 AND delivery = 1")
            .bind(seq, state, due, text, kMaxDeliveryLog)
            .run();
      },
      [this, seq, state, due_here](const Status& status) {
        if (!due_.taken(seq)) return;  // it was redelivered or redriven meanwhile
        if (!status) {
          log::warn("a delivery could not be recorded; it is tried again",
                    {{"error", std::string_view(status.error().detail)}});
          return due_.move(seq, monotonic_of(now() + kUnreadablePause));
        }
        if (state == Delivery::kPending) return due_.move(seq, due_here);
        due_.remove(seq);
      });
}

void SqliteQueue::redeliver(const std::string& function_id, const std::string& id, Done<void> done) {
  find_then(function_id, id, [this, done = std::move(done)](Result<Found> found) mutable {
    if (!found) return done(std::unexpected(found.error()));
    if (found->state <= StoredState::kDelayed) return done(not_ended());
    if (!found->has_callback || found->state == StoredState::kCancelled) return done(no_callback());
    write(
        256,
        [seq = found->seq, at = now()](store::Database& database) {
          return store::Statement(database,
                                  "UPDATE invocations SET delivery = 1, delivery_due = ?2, delivery_tried = 0"
                                  " WHERE seq = ?1 AND state > 1")
              .bind(seq, at)
              .run();
        },
        [this, seq = found->seq, done = std::move(done)](const Status& status) mutable {
          if (!status) return done(std::unexpected(unavailable(status.error())));
          if (due_.taken(seq)) {
            due_.renew(seq, loop_.clock().now());  // one that is being sent now needs no second
          } else {
            set_due(seq);
          }
          delivery_wanted_();
          done({});
        });
  });
}

}  // namespace sterna::queue::sqlite
