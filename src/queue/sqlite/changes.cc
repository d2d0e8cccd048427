// The statements that change invocations. On the writer's thread.
#include "queue/expired_answer.h"
#include "queue/sqlite/io.h"

namespace sterna::queue::sqlite {
namespace {

// The invocation that the key stands for, if it is known and not forgotten. Fails with conflict
// `answer_not_kept` when it is gone.
Result<std::optional<Accepted>> find_repeated(store::Database& database, std::int64_t lane,
                                              const Submission& submission) {
  const IdempotencyKey& wanted = *submission.idempotency;
  store::Statement known(database,
                         "SELECT k.fingerprint, k.id, i.state FROM idempotency k"
                         " LEFT JOIN invocations i ON i.lane = k.lane AND i.id = k.id"
                         " WHERE k.lane = ?1 AND k.key = ?2 AND k.forgotten_at > ?3");
  known.bind(lane, wanted.key, to_millis(submission.created_at));
  const Result<bool> row = known.step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::nullopt;
  if (known.text(0) != wanted.fingerprint) return idempotency_key_reused();
  const auto state = known.optional_integer(2);
  if (!state) return answer_not_kept();
  return Accepted{.id = known.text(1), .state = state_of(static_cast<StoredState>(*state)), .repeated = true};
}

// The next call with the key of this one, which has not run, runs.
Status forget_key(store::Database& database, std::uint64_t seq) {
  return store::Statement(
             database,
             "DELETE FROM idempotency WHERE (lane, id) = (SELECT lane, id FROM invocations WHERE seq = ?1)")
      .bind(seq)
      .run();
}

// The same, if it stood in no line and no attempt of it is known.
Status forget_key_unless_run(store::Database& database, std::uint64_t seq) {
  return store::Statement(database,
                          "DELETE FROM idempotency WHERE (lane, id) = (SELECT lane, id FROM invocations"
                          " WHERE seq = ?1 AND due = ?2 AND attempt_count = 0)")
      .bind(seq, kDueAtOnce)
      .run();
}

Status remember(store::Database& database, std::int64_t lane, const Submission& submission) {
  return store::Statement(database,
                          "INSERT OR REPLACE INTO idempotency(lane, key, fingerprint, id, forgotten_at)"
                          " VALUES(?1, ?2, ?3, ?4, ?5)")
      .bind(lane, submission.idempotency->key, submission.idempotency->fingerprint, submission.id,
            to_millis(submission.idempotency->forgotten_at))
      .run();
}

Status insert_row(store::Database& database, const Placement& place, const Submission& submission) {
  const bool in_row = is_inline(submission.body);
  const Status stored =
      store::Statement(
          database,
          "INSERT INTO invocations(seq, lane, id, state, due, created_at, not_before, expires_at,"
          " max_attempts, body_bytes, callback_url, request, body)"
          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")
          .bind(place.seq, place.lane, submission.id,
                place.due > 0 ? StoredState::kDelayed : StoredState::kReady, place.due,
                to_millis(submission.created_at), to_millis(submission.not_before),
                to_millis(submission.expires_at), submission.max_attempts, submission.body.size(),
                submission.callback_url, store::Blob{submission.request},
                store::Blob{in_row ? submission.body.memory() : std::string_view()})
          .run();
  if (!stored || in_row) return stored;
  return write_parts(database, place.seq, PartKind::kRequest, submission.body);
}

Status expect_one_row(const store::Database& database) {
  if (database.changed_rows() == 1) return {};
  return stale_receipt();
}

// Of a statement that answers the row it has changed.
Result<SettledRow> settled_row(store::Statement& update) {
  const Result<bool> changed = update.step();
  if (!changed) return std::unexpected(changed.error());
  if (!*changed) return stale_receipt();
  SettledRow row{.id = update.text(0), .callback_url = update.text(1), .attempt = update.integer(2)};
  if (const Status rest = update.run(); !rest) return std::unexpected(rest.error());
  return row;
}

// What a settlement adds to its row; nothing when no run has begun.
struct Run {
  std::optional<Millis> started_at;
  std::int64_t microseconds = 0;
  std::string text;
  std::int64_t count = 0;
};

Run run_of(const Settlement& settlement) {
  if (!settlement.attempt) return {};
  const Attempt& attempt = *settlement.attempt;
  return {.started_at = to_millis(attempt.started_at),
          .microseconds = attempt.duration / std::chrono::microseconds(1),
          .text = attempt_text(attempt),
          .count = 1};
}

}  // namespace

Status find_accepted(store::Database& database, std::int64_t lane, const Submission& submission,
                     Accepted& accepted) {
  auto repeated = find_repeated(database, lane, submission);
  if (!repeated) return std::unexpected(repeated.error());
  if (!*repeated) return invocation_not_found();
  accepted = std::move(**repeated);
  return {};
}

Status insert(store::Database& database, const Placement& place, const Submission& submission,
              Accepted& accepted) {
  if (!place.lane_stored) {
    const FunctionName& function = submission.function;
    std::optional<Millis> made_at;
    if (function.space_made_at) made_at = to_millis(*function.space_made_at);
    const Status lane =
        store::Statement(
            database,
            "INSERT INTO lanes(lane, function, space, name, space_made_at) VALUES(?1, ?2, ?3, ?4, ?5)"
            " ON CONFLICT DO UPDATE SET space_made_at = excluded.space_made_at")
            .bind(place.lane, function.id, function.space, function.name, made_at)
            .run();
    if (!lane) return lane;
  }
  if (submission.idempotency) {
    const auto repeated = find_repeated(database, place.lane, submission);
    if (!repeated) return std::unexpected(repeated.error());
    if (*repeated) {
      accepted = **repeated;
      return {};
    }
  }
  accepted = {.id = submission.id};
  if (const Status stored = insert_row(database, place, submission); !stored) return stored;
  return submission.idempotency ? remember(database, place.lane, submission) : Status();
}

Result<SettledRow> update_settled(store::Database& database, std::uint64_t seq, const Settlement& settlement,
                                  Millis now) {
  const bool redrivable = settlement.state == State::kFailed || settlement.state == State::kExpired;
  const Answer* answer = settlement.answer ? &*settlement.answer : nullptr;
  const bool in_row = answer == nullptr || is_inline(answer->body);
  const Run run = run_of(settlement);
  store::Statement update(
      database,
      "UPDATE invocations SET state = ?2, reason = ?3, status = ?4, version = ?5,"
      " started_at = coalesce(started_at, ?6), ended_at = ?7, run_started_at = coalesce(?6, ?7), run_us = ?8,"
      " spent = spent + ?15, attempt_count = attempt_count + ?15, attempts = attempts || ?9, header_count = "
      "?10,"
      " headers = ?11, answer = ?12, answer_bytes = ?13, delivery = iif(callback_url = '', 0, 1),"
      " delivery_due = ?7, delivery_tried = 0, request = iif(?14, request, NULL),"
      " body = iif(?14, body, NULL)"
      " WHERE seq = ?1 AND state <= 1 RETURNING id, callback_url, attempt_count");
  update.bind(seq, stored_of(settlement.state), settlement.reason,
              answer == nullptr ? 0 : answer->status_code, settlement.version, run.started_at, now,
              run.microseconds, run.text, answer == nullptr ? 0U : answer->header_count,
              store::Blob{answer == nullptr ? std::string_view() : std::string_view(answer->headers)},
              store::Blob{answer != nullptr && in_row ? answer->body.memory() : std::string_view()},
              answer == nullptr ? 0U : answer->body.size(), redrivable, run.count);
  auto row = settled_row(update);
  if (!row) return row;
  if (!settlement.attempt) {
    if (const Status gone = forget_key(database, seq); !gone) return std::unexpected(gone.error());
  }
  if (!redrivable) {
    if (const Status gone = delete_parts(database, seq, PartKind::kRequest); !gone)
      return std::unexpected(gone.error());
  }
  if (in_row) return row;
  if (const Status stored = write_parts(database, seq, PartKind::kAnswer, answer->body); !stored)
    return std::unexpected(stored.error());
  return row;
}

Result<SettledRow> update_expired(store::Database& database, std::uint64_t seq, Millis now) {
  store::Statement waiting(database, "SELECT id, due = ?2 FROM invocations WHERE seq = ?1 AND state <= 1");
  waiting.bind(seq, kDueAtOnce);
  if (const Result<bool> there = waiting.step(); !there || !*there)
    return there ? Result<SettledRow>(stale_receipt()) : std::unexpected(there.error());
  if (waiting.integer(1) != 0) {
    if (const Status gone = forget_key(database, seq); !gone) return std::unexpected(gone.error());
  }
  const ExpiredAnswer answer = expired_answer(waiting.text(0));
  store::Statement update(database,
                          "UPDATE invocations SET state = ?2, reason = ?3, status = ?8, ended_at = ?4,"
                          " run_started_at = ?4, run_us = 0, header_count = ?9, headers = ?5,"
                          " answer = ?6, answer_bytes = ?7, delivery = iif(callback_url = '', 0, 1),"
                          " delivery_due = ?4, delivery_tried = 0"
                          " WHERE seq = ?1 RETURNING id, callback_url, attempt_count");
  update.bind(seq, StoredState::kExpired, kExpired, now, store::Blob{answer.headers},
              store::Blob{answer.body}, answer.body.size(), answer.status_code, answer.header_count);
  return settled_row(update);
}

Status update_retry(store::Database& database, std::uint64_t seq, const Settlement& settlement, Millis due) {
  STERNA_ASSERT(settlement.attempt);
  const Status updated =
      store::Statement(database,
                       "UPDATE invocations SET state = ?2, due = ?3, reason = ?4, status = ?5, version = ?6,"
                       " started_at = coalesce(started_at, ?7), spent = spent + ?9,"
                       " attempt_count = attempt_count + 1, attempts = attempts || ?8"
                       " WHERE seq = ?1 AND state <= 1")
          .bind(seq, StoredState::kDelayed, due, settlement.reason, settlement.attempt->status_code,
                settlement.version, to_millis(settlement.attempt->started_at),
                attempt_text(*settlement.attempt), settlement.cost == Cost::kSpent ? 1 : 0)
          .run();
  return updated ? expect_one_row(database) : updated;
}

Status update_cancelled(store::Database& database, const Cancellation& cancelled) {
  const std::uint64_t seq = cancelled.seq;
  if (const auto& run = cancelled.run) {
    const Status told =
        store::Statement(database,
                         "UPDATE invocations SET version = ?2, started_at = coalesce(started_at, ?3),"
                         " attempt_count = attempt_count + 1, attempts = attempts || ?4"
                         " WHERE seq = ?1 AND state <= 1")
            .bind(seq, run->version, to_millis(run->attempt.started_at), attempt_text(run->attempt))
            .run();
    if (!told) return told;
  }
  const Status updated = store::Statement(database,
                                          "UPDATE invocations SET state = ?2, reason = ?3, ended_at = ?4"
                                          " WHERE seq = ?1 AND state <= 1")
                             .bind(seq, StoredState::kCancelled, kCancelled, cancelled.at)
                             .run();
  if (!updated) return updated;
  if (const Status ended = expect_one_row(database); !ended) return ended;
  return cancelled.may_have_run ? Status() : forget_key_unless_run(database, seq);
}

Status update_redriven(store::Database& database, std::uint64_t seq, Millis expires_at) {
  const Status updated =
      store::Statement(database,
                       "UPDATE invocations SET state = 0, due = 0, reason = '', status = 0, spent = 0,"
                       " ended_at = NULL, expires_at = ?2, delivery = 0, delivery_due = NULL,"
                       " answer = NULL, answer_bytes = 0, headers = NULL, header_count = 0"
                       " WHERE seq = ?1 AND state IN (3, 5)")
          .bind(seq, expires_at)
          .run();
  if (!updated) return updated;
  if (database.changed_rows() == 0) return not_failed();
  return delete_parts(database, seq, PartKind::kAnswer);
}

}  // namespace sterna::queue::sqlite
