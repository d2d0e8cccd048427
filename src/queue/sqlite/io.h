// How the parts of SqliteQueue reach the disk. Internal to queue/sqlite.
#pragma once

#include "queue/failures.h"
#include "queue/sqlite/sqlite_queue.h"

namespace sterna::queue::sqlite {

struct Placement {
  std::int64_t lane = 0;
  bool lane_stored = false;
  std::uint64_t seq = 0;
  Millis due = 0;
};
// Writes a new invocation. `accepted` tells whether it stands for an earlier one.
Status insert(store::Database& database, const Placement& place, const Submission& submission,
              Accepted& accepted);
// The invocation that the submission's idempotency key stands for; fails with not_found when there is none.
Status find_accepted(store::Database& database, std::int64_t lane, const Submission& submission,
                     Accepted& accepted);
// What a settled row says about its callback.
struct SettledRow {
  std::string id;
  std::string callback_url;  // empty: none
  std::int64_t attempt = 0;
};
struct Cancellation {
  std::uint64_t seq = 0;
  std::optional<Interruption> run;  // the attempt that it breaks off
  bool may_have_run = false;        // though no attempt is known
  Millis at = 0;
};
// All fail with conflict `stale_receipt` when it is settled already. What stood in no line and ends without
// an attempt lets go of its idempotency key.
Result<SettledRow> update_settled(store::Database& database, std::uint64_t seq, const Settlement& settlement,
                                  Millis now);
Result<SettledRow> update_expired(store::Database& database, std::uint64_t seq, Millis now);
Status update_retry(store::Database& database, std::uint64_t seq, const Settlement& settlement, Millis due);
Status update_cancelled(store::Database& database, const Cancellation& cancelled);

// The newest of a lane ?1 in a state ?2 with a delivery ?3, before a seq ?4.
inline constexpr const char* kListSql =
    "SELECT seq FROM invocations WHERE lane = ?1 AND state = ?2 AND delivery = ?3 AND seq < ?4"
    " ORDER BY seq DESC LIMIT ?5";
// What waits to be run in a lane ?1, for a start: ?2 is the last state that waits.
inline constexpr const char* kWaitingSql =
    "SELECT seq, due, created_at, expires_at, body_bytes FROM invocations"
    " WHERE lane = ?1 AND state <= ?2 ORDER BY state, delivery, seq";

// As if it had been handed in anew. Fails with conflict `not_failed` when it has not failed or expired.
Status update_redriven(store::Database& database, std::uint64_t seq, Millis expires_at);

template <class Apply, class Answer>
class FunctionWrite final : public store::Write {
 public:
  FunctionWrite(std::size_t weight, Apply apply, Answer answer)
      : weight_(weight), apply_(std::move(apply)), answer_(std::move(answer)) {}
  Status apply(store::Database& database) override { return apply_(database); }
  void done(const Status& status) override { answer_(status); }
  std::size_t weight() const override { return weight_; }

 private:
  const std::size_t weight_;
  Apply apply_;
  Answer answer_;
};

// `apply(database)` on the writer's thread, then `answer(status)` on the loop.
template <class Apply, class Answer>
void SqliteQueue::write(std::size_t weight, Apply apply, Answer answer) {
  writer_->submit(
      std::make_unique<FunctionWrite<Apply, Answer>>(weight, std::move(apply), std::move(answer)));
}

// `read(database)` on the reader's thread, then `answer(what it answered)` on the loop.
template <class Read, class Answer>
void SqliteQueue::read(Read read, Answer answer) {
  reader_thread_->run([this, read = std::move(read), answer = std::move(answer)]() mutable {
    loop_.post([alive = alive_, answer = std::move(answer), result = read(*reader_)]() mutable {
      if (*alive) answer(std::move(result));
    });
  });
}

}  // namespace sterna::queue::sqlite
