#include "pool/policy.h"

#include <gtest/gtest.h>

#include <vector>

namespace sterna::pool {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

RunTime run_of(Duration average) {
  RunTime run;
  run.add(average);
  return run;
}

MonotonicTime at(int second) {
  return MonotonicTime(seconds(second));
}

TEST(RunTime, FirstRunCountsWholeLaterOnesAnEighth) {
  RunTime run;
  EXPECT_FALSE(run.known());
  run.add(milliseconds(8));
  EXPECT_EQ(run.average(), milliseconds(8));
  run.add(milliseconds(16));
  EXPECT_EQ(run.average(), milliseconds(9));
}

Pace pace_of(Duration each) {
  Pace pace;
  pace.add(each);
  return pace;
}

TEST(Pace, IsAWorkersTimeForEachCall) {
  Pace pace;
  EXPECT_FALSE(pace.known());
  pace.add(milliseconds(6));
  pace.add(Duration::zero());
  pace.add(Duration::zero());
  EXPECT_EQ(pace.each(), milliseconds(2));
}

TEST(Pace, ForgetsWhatIsLongAgo) {
  Pace pace;
  pace.add(seconds(10));
  for (int i = 0; i < 20'000; ++i) pace.add(microseconds(100));
  EXPECT_LT(pace.each(), microseconds(101));
}

// Where one runs at a time, its run tells; where many do, the pace.
Costs costs_of(std::size_t concurrency, Duration each, std::size_t cores = 8) {
  if (concurrency == 1) return {.concurrency = 1, .cores = cores, .run = run_of(each), .pace = {}};
  return {.concurrency = concurrency, .cores = cores, .run = run_of(seconds(1)), .pace = pace_of(each)};
}

Costs with_free_core(Costs costs) {
  costs.has_free_core = true;
  return costs;
}

TEST(Patience, IsLongWhereAnotherWorkerWouldOnlyTakeTurns) {
  EXPECT_EQ(patience(1, costs_of(1, milliseconds(1), 2)), kPatience)
      << "it runs one at a time: others may run";
  EXPECT_EQ(patience(1, costs_of(64, milliseconds(1), 3)), kPatience);
  EXPECT_EQ(patience(1, costs_of(64, milliseconds(1), 2)), kCrowdedPatience);
  EXPECT_EQ(patience(1, with_free_core(costs_of(64, milliseconds(1), 2))), kPatience);
}

struct Choice {
  const char* what;
  std::vector<WorkerView> workers;
  Costs costs;
  bool small;
  std::size_t expected;
};

TEST(ChooseWorker, Table) {
  const Costs quick = costs_of(1, microseconds(100));
  const Costs slow = costs_of(1, milliseconds(50));
  const Costs quick_many = costs_of(64, microseconds(50));
  const WorkerView idle{.accepts = true, .idle_since = at(1)};
  const WorkerView used_last{.accepts = true, .idle_since = at(2)};
  const WorkerView busy{.in_flight = 1, .accepts = true, .idle_since = {}};
  const WorkerView busier{.in_flight = 3, .accepts = true, .idle_since = {}};
  const WorkerView stalled{.in_flight = 1, .accepts = true, .stalled = true, .idle_since = {}};
  const WorkerView starting{.accepts = true, .starting = true, .idle_since = {}};
  const WorkerView full{.in_flight = 1, .accepts = false, .idle_since = {}};
  const Choice choices[] = {
      {"nobody there", {}, quick, true, kNobody},
      {"nobody accepts", {full}, quick, true, kNobody},
      {"the one used last", {idle, used_last}, slow, true, 1},
      {"ready before starting", {starting, idle}, slow, true, 1},
      {"a starting one is better than none", {starting}, Costs{.run = {}, .pace = {}}, true, 0},
      {"short runs gather at the busiest", {idle, busy, busier}, quick, true, 2},
      {"large bodies do not go ahead", {idle, busy}, quick, false, 0},
      {"nothing goes ahead of long runs", {busy}, slow, true, kNobody},
      {"nothing goes ahead while run times are unknown", {busy}, Costs{.run = {}, .pace = {}}, true, kNobody},
      {"nothing goes to a stalled worker", {stalled}, quick, true, kNobody},
      {"many at a time: the one with the fewest", {busier, busy}, costs_of(4, milliseconds(50)), true, 1},
      {"many at a time: short runs gather too", {busy, busier, idle}, quick_many, true, 1},
      {"many at a time: and are sent ahead of what runs at once",
       {{.in_flight = 10, .accepts = true, .idle_since = {}}, idle},
       costs_of(4, microseconds(100)),
       true,
       0},
      {"many at a time: until the wait gets long",
       {{.in_flight = 40, .accepts = true, .idle_since = {}}, idle},
       quick_many,
       true,
       1},
      {"many at a time: and longer while no core is free for another",
       {{.in_flight = 40, .accepts = true, .idle_since = {}}, idle},
       costs_of(64, microseconds(50), 2),
       true,
       0},
      {"many at a time: but not without end",
       {{.in_flight = 101, .accepts = true, .idle_since = {}}, idle},
       costs_of(256, milliseconds(1), 2),
       true,
       1},
      {"many at a time: and no more than patience where a core is seen to be free",
       {{.in_flight = 11, .accepts = true, .idle_since = {}}, idle},
       with_free_core(costs_of(256, milliseconds(1), 2)),
       true,
       1},
      {"many at a time: one of two that run is enough where two cores are",
       {{.in_flight = 50, .accepts = true, .idle_since = {}}, busy},
       costs_of(64, microseconds(50), 3),
       true,
       0},
      {"many at a time: what takes long is spread", {busy, idle}, costs_of(64, milliseconds(2), 1), true, 1},
      {"many at a time: nothing goes ahead while the pace is unknown",
       {busier, idle},
       {.concurrency = 64, .run = run_of(microseconds(1)), .pace = {}},
       true,
       1},
      {"prefetch ends where the wait gets long",
       {{.in_flight = 20, .accepts = true, .idle_since = {}}},
       quick,
       true,
       kNobody},
      {"prefetch has a limit",
       {{.in_flight = kMaxPrefetch, .accepts = true, .idle_since = {}}},
       costs_of(1, Duration(1)),
       true,
       kNobody},
  };
  for (const Choice& choice : choices) {
    EXPECT_EQ(choose_worker(choice.workers, choice.costs, choice.small), choice.expected) << choice.what;
  }
}

struct Scaling {
  const char* what;
  Load load;
  RunTime run;
  std::size_t expected;
};

TEST(WorkersToStart, Table) {
  const RunTime unknown;
  const RunTime quick = run_of(microseconds(100));
  const RunTime slow = run_of(milliseconds(50));
  const Scaling rows[] = {
      {"nothing waits", {.workers = 1, .max_workers = 4}, quick, 0},
      {"the first worker is started at once", {.waiting = 9, .max_workers = 4}, quick, 1},
      {"patience", {.waiting = 3, .oldest_wait = milliseconds(9), .workers = 1, .max_workers = 4}, quick, 0},
      {"patience is over",
       {.waiting = 2, .oldest_wait = kPatience, .workers = 1, .max_workers = 4},
       quick,
       2},
      {"long runs are expected", {.waiting = 2, .workers = 1, .max_workers = 4}, slow, 2},
      {"an unknown run time is given patience", {.waiting = 2, .workers = 1, .max_workers = 4}, unknown, 0},
      {"patience is longer where no core is free",
       {.waiting = 2,
        .oldest_wait = kCrowdedPatience - milliseconds(1),
        .workers = 1,
        .max_workers = 4,
        .patience = kCrowdedPatience},
       quick,
       0},
      {"and it ends",
       {.waiting = 2,
        .oldest_wait = kCrowdedPatience,
        .workers = 1,
        .max_workers = 4,
        .patience = kCrowdedPatience},
       quick,
       2},
      {"those that start count",
       {.waiting = 2, .oldest_wait = seconds(1), .starting = 1, .workers = 2, .max_workers = 4},
       quick,
       1},
      {"never beyond the limit",
       {.waiting = 9, .oldest_wait = seconds(1), .workers = 3, .max_workers = 4},
       slow,
       1},
      {"at the limit", {.waiting = 9, .oldest_wait = seconds(1), .workers = 4, .max_workers = 4}, slow, 0},
      {"one worker serves many",
       {.waiting = 9, .oldest_wait = seconds(1), .workers = 1, .concurrency = 8, .max_workers = 4},
       slow,
       2},
  };
  for (const Scaling& row : rows) EXPECT_EQ(workers_to_start(row.load, row.run), row.expected) << row.what;
}

TEST(RestartDelay, DoublesToHalfAMinute) {
  EXPECT_EQ(restart_delay(0), Duration::zero());
  EXPECT_EQ(restart_delay(1), milliseconds(100));
  EXPECT_EQ(restart_delay(2), milliseconds(200));
  EXPECT_EQ(restart_delay(9), milliseconds(25600));
  EXPECT_EQ(restart_delay(10), seconds(30));
  EXPECT_EQ(restart_delay(4'000'000'000U), seconds(30));
}

}  // namespace
}  // namespace sterna::pool
