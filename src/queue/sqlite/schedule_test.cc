// Whatever happens to a ticket, and how often: what the schedule counts is what is there.
#include "queue/sqlite/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <set>

namespace sterna::queue::sqlite {
namespace {

const FunctionName kResize{.id = "01RESIZE", .space = "default", .name = "resize"};
const FunctionName kMail{.id = "01MAIL", .space = "default", .name = "mail"};
const MayRun kOpen = [](const FunctionName&) { return Gate::kOpen; };
constexpr MonotonicTime kUntil{std::chrono::hours(1)};

Now at(Millis time) {
  return {.wall = time, .age = time};
}

Ticket ticket_of(std::uint64_t seq, Millis expires_at = 1000) {
  return {.seq = seq, .kib = seq % 7 + 1, .due = 0, .expires_at = expires_at};
}

TEST(ScheduleTest, ATicketIsCountedOutOnce) {
  Schedule schedule;
  Lane& lane = schedule.lane(kResize);
  Lane& other = schedule.lane(kMail);
  schedule.add_ready(lane, ticket_of(1));
  schedule.add_delayed(lane, ticket_of(2));
  schedule.add_ready(lane, ticket_of(3), Turn::kAtOnce);
  schedule.add_ready(other, ticket_of(4));
  for (int i = 0; i < 2; ++i) {
    for (const std::uint64_t seq : {1U, 2U, 3U, 99U}) schedule.drop(lane, ticket_of(seq));
    EXPECT_EQ(lane.waiting, 0U);
    EXPECT_EQ(lane.space->waiting, 1U);
    EXPECT_EQ(schedule.waiting_bytes(), ticket_of(4).kib << 10U);
  }
  EXPECT_FALSE(schedule.promote(at(5)));
  EXPECT_EQ(schedule.take(Turn::kAtOnce, kOpen, kUntil, at(0)), nullptr);
  EXPECT_EQ(schedule.take(Turn::kInLine, kOpen, kUntil, at(0))->ticket.seq, 4U);
  EXPECT_EQ(schedule.take(Turn::kInLine, kOpen, kUntil, at(0)), nullptr);
}

TEST(ScheduleTest, WhatIsDroppedAfterItsLeaseHasEndedIsNotThere) {
  Schedule schedule;
  Lane& lane = schedule.lane(kResize);
  schedule.add_ready(lane, ticket_of(1));
  ASSERT_NE(schedule.take(Turn::kInLine, kOpen, kUntil, at(0)), nullptr);
  schedule.end(1);
  schedule.drop(lane, ticket_of(1));
  EXPECT_EQ(lane.waiting, 0U);
  EXPECT_EQ(lane.space->waiting, 0U);
  schedule.add_ready(lane, ticket_of(1));  // as a redrive
  EXPECT_EQ(lane.waiting, 1U);
  EXPECT_EQ(schedule.take(Turn::kInLine, kOpen, kUntil, at(0))->ticket.seq, 1U);
}

TEST(ScheduleTest, ALaneThatIsForgottenTakesNothing) {
  Schedule schedule;
  Lane& lane = schedule.lane(kResize);
  schedule.add_ready(lane, ticket_of(1));
  schedule.add_ready(lane, ticket_of(2));
  schedule.add_ready(lane, ticket_of(3));
  ASSERT_NE(schedule.take(Turn::kInLine, kOpen, kUntil, at(0)), nullptr);
  ASSERT_NE(schedule.take(Turn::kInLine, kOpen, kUntil, at(0)), nullptr);
  schedule.forget(lane);
  EXPECT_EQ(lane.waiting, 2U);  // what is leased
  EXPECT_FALSE(schedule.is_over(lane));
  schedule.put_back(1, 0);
  schedule.put_back(2, 10);
  schedule.add_ready(lane, ticket_of(4));
  schedule.add_delayed(lane, ticket_of(5));
  schedule.put_aside(lane, ticket_of(6));
  EXPECT_EQ(lane.waiting, 0U);
  EXPECT_EQ(lane.space->waiting, 0U);
  EXPECT_EQ(schedule.waiting_bytes(), 0U);
  EXPECT_TRUE(schedule.is_over(lane));
  EXPECT_FALSE(schedule.promote(at(100)));
  EXPECT_EQ(schedule.take(Turn::kInLine, kOpen, kUntil, at(0)), nullptr);
}

TEST(ScheduleTest, WhatIsOnItsWayKeepsTheLane) {
  Schedule schedule;
  Lane& lane = schedule.lane(kResize);
  schedule.expect(lane);
  EXPECT_EQ(lane.space->arriving, 1U);
  schedule.forget(lane);
  schedule.erase_lane(lane.key);
  ASSERT_EQ(schedule.find_lane(kResize.id), &lane);
  schedule.arrived(lane);
  EXPECT_EQ(lane.space->arriving, 0U);
  schedule.erase_lane(lane.key);
  EXPECT_EQ(schedule.find_lane(kResize.id), nullptr);
}

TEST(ScheduleTest, ExpiredOnesCountUntilTheyAreDropped) {
  Schedule schedule;
  Lane& lane = schedule.lane(kResize);
  for (std::uint64_t seq = 1; seq <= 5; ++seq) schedule.add_ready(lane, ticket_of(seq, seq < 4 ? 10 : 100));
  schedule.add_ready(lane, ticket_of(6, 10), Turn::kAtOnce);
  EXPECT_EQ(schedule.take(Turn::kAtOnce, kOpen, kUntil, at(10)), nullptr);
  EXPECT_EQ(schedule.take(Turn::kInLine, kOpen, kUntil, at(10))->ticket.seq,
            4U);  // what may run is not held up
  schedule.set_aside_expired(10);
  schedule.drop(lane, ticket_of(2));  // cancelled meanwhile
  EXPECT_EQ(lane.waiting, 5U);
  EXPECT_EQ(schedule.take_expired(1).front().ticket.seq, 6U);
  const auto rest = schedule.take_expired(10);
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[0].ticket.seq, 1U);
  EXPECT_EQ(rest[1].ticket.seq, 3U);
  schedule.drop(lane, rest[0].ticket);
  schedule.put_aside(lane, rest[1].ticket);
  EXPECT_EQ(schedule.take_expired(10).front().ticket.seq, 3U);
  EXPECT_TRUE(schedule.take_expired(10).empty());
}

TEST(ScheduleTest, WhatIsDueHasItsTimeWhateverTheWallClockDid) {
  Schedule schedule;
  Lane& lane = schedule.lane(kResize);
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    Ticket later = ticket_of(seq, 1500);
    later.due = static_cast<Millis>(seq) * 500;
    schedule.add_delayed(lane, later);
  }
  EXPECT_TRUE(schedule.promote(at(600)));  // the first look tells nothing of a jump: it is due for 100
  EXPECT_EQ(lane.ready.back().expires_at, 1500);
  EXPECT_FALSE(schedule.promote(at(700)));
  EXPECT_TRUE(schedule.promote({.wall = 9000, .age = 800}));  // set forward
  EXPECT_EQ(lane.ready[1].expires_at, 700 + 500);
  EXPECT_EQ(lane.ready[2].expires_at, 700 + 0);
  ASSERT_EQ(schedule.take(Turn::kInLine, kOpen, kUntil, {.wall = 9000, .age = 800})->ticket.seq, 1U);
  schedule.postpone(1, 9100, 8200);
  EXPECT_FALSE(schedule.promote({.wall = 100, .age = 900}));  // set back
  EXPECT_TRUE(schedule.promote({.wall = 9150, .age = 9950}));
  EXPECT_EQ(lane.ready.back().expires_at, 9900 + 600);
}

TEST(ScheduleTest, WhatIsDelayedComesInOrderWhoseverItIs) {
  Schedule schedule;
  Lane& lane = schedule.lane(kResize);
  Lane& other = schedule.lane(kMail);
  const auto due_at = [](std::uint64_t seq, Millis due) {
    Ticket later = ticket_of(seq, 9000);
    later.due = due;
    return later;
  };
  schedule.add_delayed(lane, due_at(1, 300));
  schedule.add_delayed(other, due_at(2, 200));
  schedule.add_delayed(lane, due_at(3, 100));
  schedule.add_delayed(other, due_at(4, 300));
  EXPECT_TRUE(schedule.promote(at(200)));
  EXPECT_EQ(lane.ready.back().seq, 3U);
  EXPECT_EQ(other.ready.back().seq, 2U);
  EXPECT_EQ(lane.ready.size() + other.ready.size(), 2U);
  schedule.forget(lane);
  EXPECT_EQ(lane.waiting, 0U);
  EXPECT_TRUE(schedule.promote(at(300)));
  EXPECT_EQ(other.ready.back().seq, 4U);
  EXPECT_EQ(schedule.kept(), 2U);
}

// The loop does it, so it must not take longer for what others have put off.
TEST(ScheduleTest, WhatWasDroppedDoesNotPileUp) {
  Schedule schedule;
  Lane& lane = schedule.lane(kResize);
  Lane& other = schedule.lane(kMail);
  for (std::uint64_t seq = 1; seq <= 100; ++seq) schedule.add_ready(other, ticket_of(seq));
  for (std::uint64_t seq = 101; seq <= 50'000; ++seq) {
    Ticket later = ticket_of(seq);
    later.due = 500;
    if (seq % 2 == 0) {
      schedule.add_delayed(lane, later);
    } else {
      schedule.add_ready(lane, later);
    }
    schedule.drop(lane, later);
    ASSERT_LE(schedule.kept(), 2000U) << seq;
  }
  EXPECT_EQ(lane.space->waiting, 100U);
  EXPECT_EQ(schedule.take(Turn::kInLine, kOpen, kUntil, at(0))->ticket.seq, 1U);
}

// Steps at random, compared after each of them with a plain list of what is there.
class RandomSteps {
 public:
  explicit RandomSteps(std::uint64_t seed) : random_(seed) {}

  void step() {
    switch (below(12)) {
      case 0:
      case 1:
      case 2:
        return add();
      case 3:
      case 4:
        return take();
      case 5:
        return end();
      case 6:
        return put_back();
      case 7:
        return drop();
      case 8:
        now_ += static_cast<Millis>(below(40));
        schedule_.promote(at(now_));
        return;
      case 9:
        return set_aside();
      case 10:
        return end_expiry();
      default:
        if (below(10) == 0) forget();
    }
  }

  void check() {
    std::map<std::string, std::size_t> lanes;
    std::map<std::string, std::size_t> spaces;
    std::uint64_t kib = 0;
    for (const auto& [seq, known] : there_) {
      ++lanes[known.function.id];
      ++spaces[known.function.space];
      kib += known.ticket.kib;
    }
    for (const auto& [id, lane] : schedule_.lanes()) {
      ASSERT_EQ(lane->waiting, lanes[id]) << id;
      ASSERT_EQ(lane->space->waiting, spaces[lane->function.space]) << lane->function.space;
    }
    ASSERT_EQ(schedule_.waiting_bytes(), kib << 10U);
  }

  // Takes or ends all that is there; nothing may be left.
  void finish() {
    now_ += 100'000;
    schedule_.promote(at(now_));
    while (!leased_.empty()) end();
    for (int i = 0; i < 10'000 && !there_.empty(); ++i) {
      set_aside();
      end_expiry();
    }
    check();
    ASSERT_TRUE(there_.empty());
  }

 private:
  struct Known {
    FunctionName function;
    Ticket ticket;
  };

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  Known held(const Waiting& waiting) { return {waiting.lane->function, waiting.ticket}; }

  FunctionName any_function() {
    const std::uint64_t number = oldest_ + below(5);
    return {.id = "f" + std::to_string(number), .space = number % 2 == 0 ? "even" : "odd", .name = "f"};
  }

  void add() {
    Known made{any_function(), ticket_of(next_seq_++, now_ + 20 + static_cast<Millis>(below(200)))};
    if (!ended_.empty() && below(4) == 0) {  // it is run again
      made = ended_.back();
      ended_.pop_back();
      made.ticket.expires_at = now_ + 100;
    }
    Lane& lane = schedule_.lane(made.function);
    const bool forgotten = lane.forgotten;
    if (below(3) == 0) {
      made.ticket.due = std::min(now_ + static_cast<Millis>(below(60)), made.ticket.expires_at);
      schedule_.add_delayed(lane, made.ticket);
    } else {
      schedule_.add_ready(lane, made.ticket, below(4) == 0 ? Turn::kAtOnce : Turn::kInLine);
    }
    if (forgotten) return;
    there_.emplace(made.ticket.seq, made);
    handed_out_.push_back(made);
  }

  void take() {
    const Leased* held =
        schedule_.take(below(4) == 0 ? Turn::kAtOnce : Turn::kInLine, kOpen, kUntil, at(now_));
    if (held == nullptr) return;
    ASSERT_TRUE(there_.contains(held->ticket.seq));
    ASSERT_GT(held->ticket.expires_at, now_);
    ASSERT_TRUE(leased_.insert(held->ticket.seq).second);
  }

  std::uint64_t any_lease() {
    return *std::next(leased_.begin(), static_cast<std::ptrdiff_t>(below(leased_.size())));
  }

  void end() {
    if (leased_.empty()) return;
    const std::uint64_t seq = any_lease();
    schedule_.end(seq);
    leased_.erase(seq);
    gone(seq);
  }

  void put_back() {
    if (leased_.empty()) return;
    const std::uint64_t seq = any_lease();
    const bool over = schedule_.leased(seq)->lane->forgotten;
    schedule_.put_back(seq, below(2) == 0 ? 0 : now_ + 5);
    leased_.erase(seq);
    if (over) there_.erase(seq);
  }

  // Of one that waits, or has gone already.
  void drop() {
    if (handed_out_.empty()) return;
    const Known known = handed_out_[below(handed_out_.size())];
    if (leased_.contains(known.ticket.seq)) return;
    Lane* lane = schedule_.find_lane(known.function.id);
    if (lane == nullptr) return;
    schedule_.drop(*lane, known.ticket);
    there_.erase(known.ticket.seq);
  }

  void set_aside() {
    schedule_.set_aside_expired(now_);
    for (const Waiting& waiting : schedule_.take_expired(3)) {
      ASSERT_TRUE(there_.contains(waiting.ticket.seq));
      ASSERT_LE(waiting.ticket.expires_at, now_);
      hand_.push_back(held(waiting));
    }
  }

  void end_expiry() {
    if (hand_.empty()) return;
    const Known known = hand_.back();
    hand_.pop_back();
    Lane* lane = schedule_.find_lane(known.function.id);
    if (lane == nullptr) return;
    if (below(4) == 0 && !lane->forgotten) return schedule_.put_aside(*lane, known.ticket);
    schedule_.drop(*lane, known.ticket);
    if (there_.contains(known.ticket.seq)) gone(known.ticket.seq);
  }

  void forget() {
    const std::string id = "f" + std::to_string(oldest_++);
    Lane* lane = schedule_.find_lane(id);
    if (lane == nullptr) return;
    const auto in_hand = [&](std::uint64_t seq) {
      return std::ranges::any_of(hand_, [&](const Known& known) { return known.ticket.seq == seq; });
    };
    schedule_.forget(*lane);
    std::erase_if(there_, [&](const auto& known) {
      return known.second.function.id == id && !leased_.contains(known.first) && !in_hand(known.first);
    });
    schedule_.erase_lane(lane->key);
  }

  // It may be run again later, if its function is there.
  void gone(std::uint64_t seq) {
    const auto known = there_.extract(seq);
    ASSERT_FALSE(known.empty());
    const Lane* lane = schedule_.find_lane(known.mapped().function.id);
    if (lane != nullptr && !lane->forgotten) ended_ = {known.mapped()};
  }

  std::mt19937_64 random_;
  Schedule schedule_;
  Millis now_ = 0;
  std::uint64_t next_seq_ = 1;
  std::uint64_t oldest_ = 0;  // functions before it are gone
  std::map<std::uint64_t, Known> there_;
  std::set<std::uint64_t> leased_;
  std::vector<Known> hand_;  // expired ones on their way to the disk
  std::vector<Known> ended_;
  std::vector<Known> handed_out_;
};

TEST(ScheduleTest, WhateverHappensItCountsWhatIsThere) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    RandomSteps steps(seed);
    for (int i = 0; i < 800; ++i) {
      steps.step();
      ASSERT_NO_FATAL_FAILURE(steps.check()) << "step " << i;
    }
    ASSERT_NO_FATAL_FAILURE(steps.finish());
  }
}

TEST(SeqSetTest, KnowsWhatIsIn) {
  SeqSet set;
  for (const std::uint64_t seq : {0ULL, 1ULL, 511ULL, 512ULL, 1ULL << 62U}) {
    EXPECT_FALSE(set.contains(seq));
    EXPECT_FALSE(set.erase(seq));
    EXPECT_TRUE(set.insert(seq));
    EXPECT_FALSE(set.insert(seq));
    EXPECT_TRUE(set.contains(seq));
  }
  for (const std::uint64_t seq : {0ULL, 1ULL, 511ULL, 512ULL, 1ULL << 62U}) {
    EXPECT_GT(set.size(), 0U);
    EXPECT_TRUE(set.erase(seq));
    EXPECT_FALSE(set.contains(seq));
  }
  EXPECT_EQ(set.size(), 0U);
}

}  // namespace
}  // namespace sterna::queue::sqlite
