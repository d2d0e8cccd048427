// A 202 waits for the disk: what was accepted or settled before the power is cut is so afterwards.
#include "store/testing/power_cut.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <set>

#include "queue/sqlite/sqlite_queue.h"

namespace sterna::queue::sqlite {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using store::testing::PowerCut;
using store::testing::Unsynced;

const FunctionName kResize{.id = "01RESIZE", .space = "default", .name = "resize"};
constexpr int kCalls = 60;

class QueuePowerCut : public ::testing::TestWithParam<std::tuple<Unsynced, std::uint64_t>> {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "power-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    open();
  }
  void TearDown() override {
    queue_.reset();
    std::filesystem::remove_all(folder_);
  }

  void open() {
    auto queue = SqliteQueue::open(folder_ / "queue.db", loop_, bodies_, {});
    ASSERT_TRUE(queue) << queue.error().detail;
    queue_ = std::move(*queue);
  }

  // The power is cut at this moment; then the machine starts again.
  void cut() {
    const auto [unsynced, seed] = GetParam();
    power_.cut(unsynced, seed);
    queue_.reset();
    power_.restore();
    open();
  }

  void until(const std::function<bool()>& met) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!met()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      loop_.turn(milliseconds(20));
    }
  }

  net::Body body_of(std::string_view bytes) {
    net::Body body(bodies_);
    EXPECT_TRUE(body.append(bytes));
    return body;
  }

  void submit(const std::string& id) {
    const WallTime now = clock_.wall();
    Submission submission{.function = kResize,
                          .id = id,
                          .request = "request",
                          .body = body_of("body of " + id),
                          .callback_url = {},
                          .created_at = now,
                          .not_before = now,
                          .expires_at = now + hours(6),
                          .max_attempts = 0,
                          .idempotency = {}};
    queue_->enqueue(std::move(submission), [this, id](Result<Accepted> accepted) {
      if (accepted) accepted_.insert(id);
    });
  }

  // Takes the next one and settles it with an answer made of its id.
  void run_next() {
    const bool taken = queue_->take(
        Turn::kInLine, [](const FunctionName&) { return Gate::kOpen; }, std::chrono::minutes(1),
        [this](Result<Lease> lease) { settle(std::move(lease)); });
    EXPECT_TRUE(taken);
  }
  void settle(Result<Lease> lease) {
    ASSERT_TRUE(lease);
    const WallTime now = clock_.wall();
    Settlement settlement{
        .attempt = Attempt{.number = 1,
                           .started_at = now,
                           .ended_at = now,
                           .duration = {},
                           .outcome = "answered",
                           .reason = {},
                           .status_code = 200,
                           .instance = "worker",
                           .cold = false},
        .version = 1,
        .retry_at = {},
        .state = State::kSucceeded,
        .reason = {},
        .answer = Answer{
            .status_code = 200, .header_count = 0, .headers = {}, .body = body_of("answer of " + lease->id)}};
    queue_->settle(lease->receipt, std::move(settlement), [this, id = lease->id](Result<void> settled) {
      if (settled) settled_.insert(id);
    });
  }

  std::optional<Record> find(const std::string& id) {
    std::optional<Result<Record>> found;
    queue_->find(kResize.id, id, [&found](Result<Record> record) { found = std::move(record); });
    until([&] { return found.has_value(); });
    return *found ? std::optional(**found) : std::nullopt;
  }

  // The ids that are given out to be run, once each.
  std::multiset<std::string> runnable() {
    std::multiset<std::string> found;
    std::size_t asked = 0;
    const auto note = [&found](Result<Lease> lease) {
      ASSERT_TRUE(lease);
      found.insert(lease->id);
    };
    while (queue_->take(
        Turn::kInLine, [](const FunctionName&) { return Gate::kOpen; }, std::chrono::minutes(1), note))
      ++asked;
    until([&] { return found.size() == asked; });
    return found;
  }

  ManualClock clock_;
  net::Loop loop_{clock_};
  net::BodyBudget bodies_;
  std::filesystem::path folder_;
  PowerCut power_;
  std::set<std::string> accepted_;
  std::set<std::string> settled_;
  std::unique_ptr<SqliteQueue> queue_;
};

std::string id_of(int number) {
  return "01ARZ3NDEKTSV4RRFFQ69G" + std::to_string(1000 + number);
}

TEST_P(QueuePowerCut, WhatWasAcceptedIsRunAndNothingElse) {
  std::mt19937_64 chance(std::get<1>(GetParam()));
  std::set<std::string> submitted;
  const std::size_t wanted = chance() % kCalls;
  for (int number = 0; number < kCalls; ++number) {
    submitted.insert(id_of(number));
    submit(id_of(number));
    if (number % 7 == 0) loop_.turn(Duration::zero());
  }
  until([&] { return accepted_.size() >= wanted; });
  const auto accepted = accepted_;
  cut();
  const auto found = runnable();
  const std::set<std::string> once(found.begin(), found.end());
  EXPECT_EQ(found.size(), once.size());
  EXPECT_TRUE(std::ranges::includes(once, accepted));
  EXPECT_TRUE(std::ranges::includes(submitted, once));
}

TEST_P(QueuePowerCut, WhatWasSettledIsNotRunAgainAndTheRestIs) {
  std::mt19937_64 chance(std::get<1>(GetParam()));
  for (int number = 0; number < kCalls; ++number) submit(id_of(number));
  until([&] { return accepted_.size() == kCalls; });
  const std::size_t wanted = chance() % (kCalls / 2);
  for (int number = 0; number < kCalls / 2; ++number) run_next();
  until([&] { return settled_.size() >= wanted; });
  const auto settled = settled_;
  cut();
  const auto found = runnable();
  for (int number = 0; number < kCalls; ++number) {
    const auto record = find(id_of(number));
    ASSERT_TRUE(record) << id_of(number);
    const bool ended = is_settled(record->state);
    EXPECT_EQ(found.count(record->id), ended ? 0U : 1U);
    if (settled.contains(record->id)) EXPECT_EQ(record->state, State::kSucceeded);
  }
}

INSTANTIATE_TEST_SUITE_P(Chances, QueuePowerCut,
                         ::testing::Combine(::testing::Values(Unsynced::kLost, Unsynced::kTorn),
                                            ::testing::Range<std::uint64_t>(1, 6)));

}  // namespace
}  // namespace sterna::queue::sqlite
