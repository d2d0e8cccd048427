#include "pool/seat.h"

#include <gtest/gtest.h>

#include <vector>

namespace sterna::pool {
namespace {

constexpr std::uint64_t kMemory = 64;

class SeatTest : public ::testing::Test {
 protected:
  Seat take(Seat::Kind kind = Seat::Kind::kOwn) { return {all_, share_, kMemory, kind}; }
  void expect_none() const {
    EXPECT_EQ(all_, 0);
    for (const SpaceShare::Sum& sum : {share_->used, share_->leaving, share_->on_trial}) {
      EXPECT_EQ(sum.replicas, 0);
      EXPECT_EQ(sum.memory_bytes, 0);
    }
  }

  std::size_t all_ = 0;
  std::shared_ptr<SpaceShare> share_ = std::make_shared<SpaceShare>();
};

TEST_F(SeatTest, IsCountedUntilItsEnd) {
  {
    const Seat seat = take();
    EXPECT_TRUE(seat.taken());
    EXPECT_EQ(all_, 1);
    EXPECT_EQ(share_->used.replicas, 1);
    EXPECT_EQ(share_->used.memory_bytes, kMemory);
  }
  expect_none();
}

TEST_F(SeatTest, GoesAlongWithItsWorker) {
  std::vector<Seat> seats;
  constexpr int kSeats = 5;
  seats.reserve(kSeats);
  for (int i = 0; i < kSeats; ++i) seats.push_back(take());
  EXPECT_EQ(all_, kSeats);
  seats.erase(seats.begin() + 1);
  EXPECT_EQ(all_, 4);
  EXPECT_EQ(share_->used.replicas, 4);
  seats.clear();
  expect_none();
}

TEST_F(SeatTest, LeavesOnce) {
  Seat seat = take();
  seat.leave();
  seat.leave();
  EXPECT_EQ(share_->leaving.replicas, 1);
  EXPECT_EQ(share_->used.replicas, 1) << "until it is gone";
  seat.give_back();
  EXPECT_FALSE(seat.taken());
  expect_none();
}

TEST_F(SeatTest, ATrialEndsWithReadinessOrLeave) {
  Seat ready = take(Seat::Kind::kTrial);
  Seat told_to_go = take(Seat::Kind::kTrial);
  const Seat moved = take(Seat::Kind::kTrial);
  EXPECT_EQ(share_->on_trial.replicas, 3);
  ready.end_trial();
  told_to_go.leave();
  EXPECT_EQ(share_->on_trial.replicas, 1);
  EXPECT_EQ(share_->on_trial.memory_bytes, kMemory);
  EXPECT_EQ(share_->used.replicas, 3);
}

TEST_F(SeatTest, NeedsNoShare) {
  Seat seat(all_, nullptr, kMemory, Seat::Kind::kTrial);
  seat.leave();
  seat.end_trial();
  EXPECT_EQ(all_, 1);
  seat.give_back();
  seat.give_back();
  expect_none();
}

}  // namespace
}  // namespace sterna::pool
