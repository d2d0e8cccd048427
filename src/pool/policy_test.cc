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

struct Choice {
  const char* what;
  std::vector<WorkerView> workers;
  std::size_t concurrency;
  RunTime run;
  bool small;
  std::size_t expected;
};

TEST(ChooseWorker, Table) {
  const RunTime quick = run_of(microseconds(100));
  const RunTime slow = run_of(milliseconds(50));
  const WorkerView idle{.accepts = true, .idle_since = at(1)};
  const WorkerView used_last{.accepts = true, .idle_since = at(2)};
  const WorkerView busy{.in_flight = 1, .accepts = true, .idle_since = {}};
  const WorkerView busier{.in_flight = 3, .accepts = true, .idle_since = {}};
  const WorkerView stalled{.in_flight = 1, .accepts = true, .stalled = true, .idle_since = {}};
  const WorkerView starting{.accepts = true, .starting = true, .idle_since = {}};
  const WorkerView full{.in_flight = 1, .accepts = false, .idle_since = {}};
  const Choice choices[] = {
      {"nobody there", {}, 1, quick, true, kNobody},
      {"nobody accepts", {full}, 1, quick, true, kNobody},
      {"the one used last", {idle, used_last}, 1, slow, true, 1},
      {"ready before starting", {starting, idle}, 1, slow, true, 1},
      {"a starting one is better than none", {starting}, 1, RunTime{}, true, 0},
      {"short runs gather at the busiest", {idle, busy, busier}, 1, quick, true, 2},
      {"large bodies do not go ahead", {idle, busy}, 1, quick, false, 0},
      {"nothing goes ahead of long runs", {busy}, 1, slow, true, kNobody},
      {"nothing goes ahead while run times are unknown", {busy}, 1, RunTime{}, true, kNobody},
      {"nothing goes to a stalled worker", {stalled}, 1, quick, true, kNobody},
      {"many at a time: the one with the fewest", {busier, busy}, 4, slow, true, 1},
      {"many at a time: short runs gather too", {busy, busier, idle}, 4, quick, true, 1},
      {"many at a time: and are sent ahead",
       {{.in_flight = 64, .accepts = true, .idle_since = {}}, idle},
       64,
       quick,
       true,
       0},
      {"many at a time: until the wait gets long",
       {{.in_flight = 80, .accepts = true, .idle_since = {}}, idle},
       4,
       quick,
       true,
       1},
      {"many at a time: long runs are spread", {busy, idle}, 64, run_of(milliseconds(2)), true, 1},
      {"prefetch ends where the wait gets long",
       {{.in_flight = 20, .accepts = true, .idle_since = {}}},
       1,
       quick,
       true,
       kNobody},
      {"prefetch has a limit",
       {{.in_flight = kMaxPrefetch, .accepts = true, .idle_since = {}}},
       1,
       run_of(Duration(1)),
       true,
       kNobody},
  };
  for (const Choice& choice : choices) {
    EXPECT_EQ(choose_worker(choice.workers, choice.concurrency, choice.run, choice.small), choice.expected)
        << choice.what;
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
