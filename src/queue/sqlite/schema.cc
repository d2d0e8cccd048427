#include "queue/sqlite/schema.h"

#include <array>

namespace sterna::queue::sqlite {
namespace {

// Times are milliseconds since 1970. `lane` stands for a function, so that rows and indexes stay small. `due`
// is 0 for what may run now and -1 for what stands in no line (Turn::kAtOnce). The small columns stand before
// the blobs: what looks at many rows reads no blob. invocations_state holds all that a start has to know of
// what waits.
constexpr std::string_view kTables = R"sql(
CREATE TABLE lanes(
  lane INTEGER PRIMARY KEY,
  function TEXT NOT NULL UNIQUE,
  space TEXT NOT NULL,
  name TEXT NOT NULL
);

CREATE TABLE invocations(
  seq INTEGER PRIMARY KEY,
  lane INTEGER NOT NULL,
  id TEXT NOT NULL,
  state INTEGER NOT NULL,
  due INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  max_attempts INTEGER NOT NULL,
  spent INTEGER NOT NULL DEFAULT 0,
  attempt_count INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  status INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  delivery INTEGER NOT NULL DEFAULT 0,
  delivery_due INTEGER,
  delivery_tried INTEGER NOT NULL DEFAULT 0,
  body_bytes INTEGER NOT NULL,
  answer_bytes INTEGER NOT NULL DEFAULT 0,
  header_count INTEGER NOT NULL DEFAULT 0,
  run_started_at INTEGER,
  run_us INTEGER NOT NULL DEFAULT 0,
  callback_url TEXT NOT NULL,
  attempts TEXT NOT NULL DEFAULT '',
  deliveries TEXT NOT NULL DEFAULT '',
  headers BLOB,
  request BLOB,
  body BLOB,
  answer BLOB,
  UNIQUE(lane, id)
);
CREATE INDEX invocations_state ON invocations(lane, state, seq, due, created_at, expires_at);
CREATE INDEX invocations_outbox ON invocations(delivery_due, seq) WHERE delivery = 1;

CREATE TABLE parts(
  seq INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  number INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  UNIQUE(seq, kind, number)
);

CREATE TABLE idempotency(
  lane INTEGER NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  id TEXT NOT NULL,
  forgotten_at INTEGER NOT NULL,
  PRIMARY KEY(lane, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency(forgotten_at);
)sql";

// What was settled longest ago goes first, but for what a key stands for: idempotency_id finds that. What
// waits to be run does not count as kept: body_bytes in the index tells a start how much that is.
constexpr std::string_view kKeptByKey = R"sql(
ALTER TABLE lanes ADD COLUMN space_made_at INTEGER;
ALTER TABLE invocations ADD COLUMN delivery_since INTEGER;
CREATE INDEX idempotency_id ON idempotency(lane, id);
DROP INDEX invocations_state;
CREATE INDEX invocations_state ON invocations(lane, state, seq, due, created_at, expires_at, body_bytes);
)sql";

// Lists by state, by delivery and by both are read from the index alone. `delivery_since` is of no use any
// more; to drop it would be to write the whole table anew.
constexpr std::string_view kListedByDelivery = R"sql(
DROP INDEX invocations_state;
CREATE INDEX invocations_state ON invocations(lane, state, delivery, seq, due, created_at, expires_at, body_bytes);
)sql";

constexpr std::array kSteps = {kTables, kKeptByKey, kListedByDelivery};

}  // namespace

std::span<const std::string_view> schema_steps() {
  return kSteps;
}

}  // namespace sterna::queue::sqlite
