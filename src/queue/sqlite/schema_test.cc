// Databases of earlier releases are taken over with all that they hold.
#include "queue/sqlite/schema.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "queue/sqlite/io.h"
#include "store/migrations.h"
#include "store/statement.h"

namespace sterna::queue::sqlite {
namespace {

// Of the first release: one that waits, one that has ended with a callback to send, and the key of the
// latter.
constexpr std::string_view kRows[] = {
    "INSERT INTO lanes VALUES(1, '01RESIZE', 'default', 'resize')",
    "INSERT INTO invocations(seq, lane, id, state, due, created_at, not_before, expires_at, max_attempts, "
    "body_bytes,"
    " callback_url, request, body)"
    " VALUES(1, 1, 'waits', 0, 0, 1000, 1000, 9000000000000, 0, 4, '', 'request', 'body')",
    "INSERT INTO invocations(seq, lane, id, state, due, created_at, not_before, expires_at, ended_at, "
    "max_attempts,"
    " body_bytes, callback_url, status, attempt_count, run_started_at, delivery, delivery_due, answer, "
    "answer_bytes)"
    " VALUES(2, 1, 'ended', 2, 0, 1000, 1000, 9000000000000, 2000, 0, 0, 'https://example.com/', 200, 1, "
    "1500, 1, 2000,"
    " 'answer', 6)",
    "INSERT INTO idempotency VALUES(1, 'key', 'print', 'ended', 9000000000000)",
};

TEST(QueueSchema, ADatabaseOfTheFirstReleaseIsTakenOver) {
  std::string pattern = ::testing::TempDir() + "queue-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path folder = pattern;
  {
    auto database = store::Database::open((folder / "queue.db").string());
    ASSERT_TRUE(database);
    ASSERT_TRUE(store::migrate(**database, schema_steps().first(1)));
    for (const std::string_view sql : kRows) ASSERT_TRUE(store::Statement(**database, sql).run()) << sql;
  }
  ManualClock clock;
  net::Loop loop(clock);
  net::BodyBudget bodies;
  auto queue = SqliteQueue::open(folder / "queue.db", loop, bodies, {});
  ASSERT_TRUE(queue) << queue.error().detail;
  const auto until = [&](const auto& met) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!met() && std::chrono::steady_clock::now() < deadline) loop.turn(std::chrono::milliseconds(20));
    return met();
  };

  std::optional<Lease> lease;
  const auto open_gate = [](const FunctionName&) { return Gate::kOpen; };
  ASSERT_TRUE((*queue)->take(Turn::kInLine, open_gate, std::chrono::minutes(1), [&](Result<Lease> taken) {
    if (taken) lease.emplace(std::move(*taken));
  }));
  ASSERT_TRUE(until([&] { return lease.has_value(); }));
  EXPECT_EQ(lease->id, "waits");

  std::optional<DueDelivery> due;
  clock.advance(std::chrono::minutes(1));
  ASSERT_TRUE((*queue)->take_delivery([&](Result<DueDelivery> taken) {
    if (taken) due = std::move(*taken);
  }));
  ASSERT_TRUE(until([&] { return due.has_value(); }));
  EXPECT_EQ(due->id, "ended");
  EXPECT_EQ(due->body, "answer");
  EXPECT_EQ(due->function.space_made_at, std::nullopt);

  // The key still stands for it, and the lane learns of which space it is.
  std::optional<Accepted> accepted;
  const auto enqueue = [&](const std::string& id, bool keyed) {
    Submission made{.function = {.id = "01RESIZE",
                                 .space = "default",
                                 .name = "resize",
                                 .space_made_at = from_millis(500)},
                    .id = id,
                    .request = "request",
                    .body = net::Body(bodies),
                    .callback_url = {},
                    .created_at = clock.wall(),
                    .not_before = clock.wall(),
                    .expires_at = clock.wall() + std::chrono::hours(6),
                    .max_attempts = 0,
                    .idempotency = {}};
    if (keyed) {
      made.idempotency = IdempotencyKey{
          .key = "key", .fingerprint = "print", .forgotten_at = clock.wall() + std::chrono::hours(24)};
    }
    accepted.reset();
    (*queue)->enqueue(std::move(made), [&](Result<Accepted> answer) {
      EXPECT_TRUE(answer);
      if (answer) accepted = std::move(*answer);
    });
    return until([&] { return accepted.has_value(); });
  };
  ASSERT_TRUE(enqueue("again", true));
  EXPECT_EQ(accepted->id, "ended");
  EXPECT_TRUE(accepted->repeated);
  ASSERT_TRUE(enqueue("new", false));
  EXPECT_FALSE(accepted->repeated);
  queue->reset();
  auto again = SqliteQueue::open(folder / "queue.db", loop, bodies, {});
  ASSERT_TRUE(again);
  ASSERT_EQ((*again)->functions().size(), 1U);
  EXPECT_EQ((*again)->functions()[0].space_made_at, from_millis(500));
  again->reset();
  std::filesystem::remove_all(folder);
}

// How SQLite finds what the statement asks for, in one line for each step.
std::string plan_of(store::Database& database, std::string_view sql) {
  store::Statement plan(database, "EXPLAIN QUERY PLAN " + std::string(sql));
  std::string steps;
  for (Result<bool> row = plan.step(); row && *row; row = plan.step()) steps += plan.text(3) + "\n";
  return steps;
}

// Whatever a list is filtered by: it costs what it shows, not what there is.
TEST(QueueSchema, ListsAndStartsAreReadFromTheIndexAlone) {
  auto database = store::Database::open(":memory:");
  ASSERT_TRUE(database);
  ASSERT_TRUE(store::migrate(**database, schema_steps()));
  EXPECT_EQ(plan_of(**database, kListSql),
            "SEARCH invocations USING COVERING INDEX invocations_state"
            " (lane=? AND state=? AND delivery=? AND seq<?)\n");
  EXPECT_EQ(plan_of(**database, kWaitingSql),
            "SEARCH invocations USING COVERING INDEX invocations_state (lane=? AND state<?)\n");
}

}  // namespace
}  // namespace sterna::queue::sqlite
