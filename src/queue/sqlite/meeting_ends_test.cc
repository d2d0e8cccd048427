// Ends that meet: a cancellation, an expiry, a retry, a redrive and the end of the function, each on its way
// to the disk while another one comes. Commits are held back, so that each test has one order of events.
#include <algorithm>
#include <filesystem>
#include <random>

#include "queue/sqlite/sqlite_queue.h"
#include "queue/testing/conformance.h"

namespace sterna::queue::testing {
namespace {

// Keeps others from writing as long as it lives: commits wait for it.
class HeldDisk {
 public:
  explicit HeldDisk(const std::filesystem::path& file) {
    auto opened = store::Database::open(file.string());
    EXPECT_TRUE(opened);
    database_ = std::move(*opened);
    EXPECT_TRUE(database_->execute("BEGIN IMMEDIATE"));
  }
  ~HeldDisk() { EXPECT_TRUE(database_->execute("ROLLBACK")); }
  HeldDisk(const HeldDisk&) = delete;
  HeldDisk& operator=(const HeldDisk&) = delete;

 private:
  std::unique_ptr<store::Database> database_;
};

class HeldSubject final : public Subject {
 public:
  HeldSubject(net::Loop& loop, net::BodyBudget& bodies, const QueueLimits& limits) {
    std::string pattern = ::testing::TempDir() + "ends-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    auto queue = sqlite::SqliteQueue::open(file(), loop, bodies, limits);
    EXPECT_TRUE(queue);
    queue_ = std::move(*queue);
  }
  ~HeldSubject() override {
    queue_.reset();
    std::filesystem::remove_all(directory_);
  }
  LeaseQueue& queue() override { return *queue_; }
  Outbox& outbox() override { return *queue_; }
  Invocations& invocations() override { return *queue_; }
  void reopen() override {}
  std::filesystem::path file() const { return directory_ / "queue.db"; }
  // Something for the writer to be busy with.
  void try_write() { queue_->try_write(); }
  bool writes() const { return queue_->writer().writing_since().has_value(); }
  // Writes that wait behind the one that is being written.
  std::size_t waiting() const { return queue_->writer().waiting(); }

 private:
  std::filesystem::path directory_;
  std::unique_ptr<sqlite::SqliteQueue> queue_;
};

class MeetingEndsTest : public Conformance {
 protected:
  HeldSubject& subject() { return dynamic_cast<HeldSubject&>(*subject_); }
  // From here on all writes wait until it is let go.
  std::unique_ptr<HeldDisk> hold() {
    until([&] { return subject().waiting() == 0 && !subject().writes(); });
    auto disk = std::make_unique<HeldDisk>(subject().file());
    subject().try_write();
    until([&] { return subject().waiting() == 0 && subject().writes(); });
    return disk;
  }
  void until_waiting(std::size_t writes) {
    until([&] { return subject().waiting() >= writes; });
  }

  // What the call that is begun answers, in time.
  using Ends = std::vector<Status>;
  void begin_cancel(const std::string& id) {
    queue().cancel(kResize.id, id, [this](Status status) { ends_.push_back(std::move(status)); });
  }
  void begin_redrive(const std::string& id) {
    queue().redrive(kResize.id, id, {.expires_at = now() + hours(6)},
                    [this](Status status) { ends_.push_back(std::move(status)); });
  }
  void begin_settle(const Lease& lease, Settlement settlement) {
    queue().settle(lease.receipt, std::move(settlement),
                   [this](Status status) { ends_.push_back(std::move(status)); });
  }
  void until_ended(std::size_t count = 1) {
    until([&] { return ends_.size() == count; });
  }

  // Whether so many wait in the space, as its quota sees it.
  void expect_in_space(std::size_t waiting) {
    Submission one_less = submission(kMail, "01ROOM" + std::to_string(++probes_));
    one_less.space_backlog = waiting;
    EXPECT_EQ(enqueue(std::move(one_less)).error().reason, "backlog_full") << "fewer than " << waiting;
    Submission enough = submission(kMail, "01ROOM" + std::to_string(++probes_));
    enough.space_backlog = waiting + 1;
    const auto accepted = enqueue(std::move(enough));
    ASSERT_TRUE(accepted) << "more than " << waiting;
    ASSERT_TRUE(cancel(accepted->id, kMail));
  }
  // Nothing of the function is counted, in it or in its space.
  void expect_nothing_left() {
    EXPECT_EQ(queue().depth(kResize.id).waiting, 0U);
    EXPECT_EQ(queue().depth(kResize.id).leased, 0U);
    accept(kMail, "01STAYS" + std::to_string(++probes_));
    expect_in_space(1);
  }

  Ends ends_;

 private:
  int probes_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Queues, MeetingEndsTest,
                         ::testing::Values(Implementation{
                             "Sqlite",
                             [](net::Loop& loop, net::BodyBudget& bodies,
                                const QueueLimits& limits) -> std::unique_ptr<Subject> {
                               return std::make_unique<HeldSubject>(loop, bodies, limits);
                             }}),
                         name_of);

TEST_P(MeetingEndsTest, ACancelAndThenTheExpiry) {
  accept(kResize, "01A");
  auto disk = hold();
  begin_cancel("01A");
  until_waiting(1);
  pass(hours(6));
  disk.reset();
  until_ended();
  EXPECT_TRUE(ends_[0]);
  EXPECT_EQ(state_of("01A"), State::kCancelled);
  expect_nothing_left();
}

TEST_P(MeetingEndsTest, AnExpiryAndThenTheCancel) {
  accept(kResize, "01A");
  auto disk = hold();
  pass(hours(6));
  until_waiting(1);
  const std::size_t writes = subject().waiting();
  begin_cancel("01A");
  until_waiting(writes + 1);
  disk.reset();
  until_ended();
  EXPECT_EQ(ends_[0].error().reason, "already_ended");
  EXPECT_EQ(state_of("01A"), State::kExpired);
  expect_nothing_left();
}

TEST_P(MeetingEndsTest, ACancelAndThenTheFunctionsEnd) {
  for (const bool delayed : {false, true}) {
    Submission made = submission(kResize, delayed ? "01DELAYED" : "01A");
    if (delayed) made.not_before = now() + minutes(10);
    accept(std::move(made));
  }
  auto disk = hold();
  begin_cancel("01A");
  begin_cancel("01DELAYED");
  until_waiting(2);
  queue().forget(kResize.id);
  disk.reset();
  until_ended(2);
  EXPECT_TRUE(ends_[0]);
  EXPECT_TRUE(ends_[1]);
  expect_nothing_left();
}

TEST_P(MeetingEndsTest, AnExpiryAndThenTheFunctionsEnd) {
  accept(kResize, "01A");
  auto disk = hold();
  pass(hours(6));
  until_waiting(1);
  queue().forget(kResize.id);
  disk.reset();
  until([&] { return !watcher_.settled.empty(); });
  EXPECT_EQ(state_of("01A"), State::kExpired);
  expect_nothing_left();
}

TEST_P(MeetingEndsTest, ARetryAndThenTheFunctionsEnd) {
  accept(kResize, "01A");
  const Lease lease = take();
  auto disk = hold();
  begin_settle(lease, retried(lease, now() + seconds(5)));
  queue().forget(kResize.id);
  disk.reset();
  until_ended();
  until([&] { return state_of("01A") == State::kCancelled; });
  pass(seconds(10));
  EXPECT_FALSE(try_take());
  expect_nothing_left();
}

TEST_P(MeetingEndsTest, ARedriveAndThenTheFunctionsEnd) {
  run_and_fail(kResize, "01A");
  auto disk = hold();
  begin_redrive("01A");
  until_waiting(1);
  queue().forget(kResize.id);
  disk.reset();
  until_ended();
  EXPECT_EQ(ends_[0].error().reason, "function_not_found");
  until([&] { return state_of("01A") == State::kCancelled; });
  EXPECT_FALSE(try_take());
  expect_nothing_left();
}

TEST_P(MeetingEndsTest, WhatIsOnItsWayToTheDiskTakesRoom) {
  open({.space_backlog = 5});
  run_and_fail(kResize, "01FAILED");
  auto disk = hold();
  begin_redrive("01FAILED");
  until_waiting(1);
  std::vector<Result<Accepted>> accepted;
  for (int i = 0; i < 20; ++i) {
    queue().enqueue(submission(i % 2 == 0 ? kResize : kMail, "01A" + std::to_string(i)),
                    [&](Result<Accepted> answer) { accepted.push_back(std::move(answer)); });
  }
  begin_redrive("01FAILED");  // twice, and no room any more
  until_ended();
  EXPECT_EQ(ends_[0].error().reason, "backlog_full");
  disk.reset();
  until([&] { return accepted.size() == 20; });
  until_ended(2);
  EXPECT_TRUE(ends_[1]);
  EXPECT_EQ(std::ranges::count_if(accepted, [](const auto& answer) { return answer.has_value(); }), 4);
  EXPECT_EQ(queue().depth(kResize.id).waiting + queue().depth(kMail.id).waiting, 5U);
  ASSERT_TRUE(cancel("01FAILED"));
  accept(kMail, "01LAST");  // what was refused has left nothing behind
  EXPECT_EQ(enqueue(submission(kMail, "01MORE")).error().reason, "backlog_full");
}

TEST_P(MeetingEndsTest, ManyThatExpireTogetherLeaveTheDiskToOthers) {
  constexpr std::size_t kCalls = 1500;
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < kCalls; ++i) {
    queue().enqueue(submission(kResize, "01A" + std::to_string(i)),
                    [&](const Result<Accepted>& answer) { accepted += answer ? 1U : 0U; });
  }
  until([&] { return accepted == kCalls; });
  auto disk = hold();
  pass(hours(6));
  EXPECT_FALSE(try_take());
  EXPECT_LE(subject().waiting(), 2U);  // some of them, and the sweep
  disk.reset();
  accept(kMail, "01B");
  EXPECT_LT(watcher_.settled.size(), kCalls);  // it had not to wait for all of them
  until([&] { return watcher_.settled.size() == kCalls; });
  for (const Watcher::Settled& settled : watcher_.settled) ASSERT_EQ(settled.state, State::kExpired);
  EXPECT_EQ(queue().depth(kResize.id).waiting, 0U);
  expect_in_space(1);
}

TEST_P(MeetingEndsTest, WhateverMeetsTheCountIsRight) {
  std::mt19937_64 random(5);  // NOLINT(cert-msc51-cpp): the same meetings each time
  const auto one_of = [&](std::size_t count) { return static_cast<std::size_t>(random() % count); };
  std::vector<std::string> made;
  std::vector<Lease> leases;
  std::size_t begun = 0;
  std::size_t answered = 0;
  const auto answer = [&](const auto&) { ++answered; };
  for (int round = 0; round < 30; ++round) {
    for (int step = 0; step < 40; ++step) {
      const std::size_t kind = one_of(10);
      if (kind < 3 || made.empty()) {
        Submission one = submission(kResize, "01A" + std::to_string(made.size()));
        one.expires_at = now() + seconds(5 + static_cast<int>(one_of(20)));
        if (one_of(3) == 0) one.not_before = now() + seconds(one_of(10));
        made.push_back(one.id);
        queue().enqueue(std::move(one), [&](const Result<Accepted>&) { ++answered; });
        ++begun;
      } else if (kind < 5) {
        queue().cancel(kResize.id, made[one_of(made.size())], answer);
        ++begun;
      } else if (kind == 5) {
        queue().redrive(kResize.id, made[one_of(made.size())], {.expires_at = now() + seconds(8)}, answer);
        ++begun;
      } else if (kind == 6) {
        queue().take(Turn::kInLine, may_run_, kLease, [&](Result<Lease> lease) {
          if (lease) leases.push_back(std::move(*lease));
        });
      } else if (kind == 7 && !leases.empty()) {
        const Lease lease = std::move(leases.back());
        leases.pop_back();
        Settlement end = one_of(2) == 0 ? failed(lease, "") : retried(lease, now() + seconds(2));
        queue().settle(lease.receipt, std::move(end), answer);
        ++begun;
      } else if (kind == 8) {
        pass(seconds(one_of(4)));
      } else {
        loop_.turn(milliseconds(1));
      }
    }
    until([&] { return answered == begun; });
    std::size_t waiting = 0;
    until([&] {  // what has expired may be on its way still
      waiting = 0;
      for (const std::string& id : made) {
        const auto record = find(id);
        if (record && !is_settled(record->state)) ++waiting;
      }
      return queue().depth(kResize.id).waiting == waiting;
    });
    ASSERT_EQ(queue().depth(kResize.id).waiting, waiting) << "round " << round;
    ASSERT_NO_FATAL_FAILURE(expect_in_space(waiting));
  }
}

}  // namespace
}  // namespace sterna::queue::testing
