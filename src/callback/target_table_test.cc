#include "callback/target_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sterna::callback {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class TargetTableTest : public ::testing::Test {
 protected:
  static SenderLimits small() {
    SenderLimits limits;
    limits.max_posts = 16;
    limits.max_transfers_per_target = 2;
    limits.max_targets = 20;
    limits.failures_before_rest = 3;
    limits.first_rest = seconds(1);
    limits.longest_rest = seconds(4);
    return limits;
  }

  static PendingPostPtr post_to(std::string_view host) {
    auto post = std::make_unique<PendingPost>();
    post->target.host = host;
    post->target.port = 80;
    return post;
  }

  std::optional<TargetTable::Refusal> add(std::string_view host) { return table_.add(post_to(host), now_); }
  // Adds a post and takes it for sending.
  PendingPostPtr started(std::string_view host) {
    EXPECT_FALSE(add(host));
    PendingPostPtr post = table_.next(now_);
    EXPECT_NE(post, nullptr);
    return post;
  }
  // Its two transfers are under way and do not end.
  void stall(std::string_view host) {
    for (int i = 0; i < 2; ++i) stalled_.push_back(started(host));
    now_ += seconds(10);
  }
  // `count` posts fail, one after the other.
  void fail(std::string_view host, int count) {
    for (int i = 0; i < count; ++i) table_.end(*started(host), Reach::kFailed, now_);
  }

  TargetTable table_{small()};
  std::vector<PendingPostPtr> stalled_;
  MonotonicTime now_{std::chrono::hours(1)};
};

TEST_F(TargetTableTest, TransfersOfATargetAreBoundedAndTheRestWaits) {
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(add("a"));
  auto first = table_.next(now_);
  auto second = table_.next(now_);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(table_.next(now_), nullptr);
  EXPECT_EQ(table_.in_hand(), 4U);
  table_.end(*first, Reach::kAnswered, now_);
  EXPECT_NE(table_.next(now_), nullptr);
  EXPECT_EQ(table_.next(now_), nullptr);
  EXPECT_EQ(table_.in_hand(), 3U);
}

TEST_F(TargetTableTest, TargetsTakeTurns) {
  for (const char* host : {"a", "a", "b", "c"}) EXPECT_FALSE(add(host));
  std::vector<std::string> order;
  while (auto post = table_.next(now_)) order.push_back(post->target.host);
  EXPECT_THAT(order, ::testing::ElementsAre("a", "b", "c", "a"));
}

TEST_F(TargetTableTest, AQuickTargetMayTakeAllPlaces) {
  for (int i = 0; i < 16; ++i) EXPECT_FALSE(add("a"));
  EXPECT_TRUE(add("a"));
  EXPECT_TRUE(table_.shed(now_).empty());
}

TEST_F(TargetTableTest, ASlowTargetHoldsAsMuchAsItLeavesToOthers) {
  stall("a");
  while (!add("a")) continue;
  EXPECT_EQ(table_.in_hand(), 8U);
  stall("b");
  while (!add("b")) continue;
  EXPECT_EQ(table_.in_hand(), 12U);
  EXPECT_FALSE(add("c"));
}

TEST_F(TargetTableTest, WhatATargetHasTakenBeforeItStalledIsGivenBack) {
  for (int i = 0; i < 16; ++i) EXPECT_FALSE(add("a"));
  while (auto post = table_.next(now_)) stalled_.push_back(std::move(post));
  EXPECT_TRUE(table_.shed(now_).empty());
  now_ += seconds(1);
  const auto refusals = table_.shed(now_);
  EXPECT_EQ(refusals.size(), 8U);
  for (const auto& refusal : refusals) EXPECT_GT(refusal.retry_after, milliseconds(0));
  EXPECT_EQ(table_.in_hand(), 8U);
  EXPECT_EQ(table_.waiting(), 6U);
  EXPECT_TRUE(table_.shed(now_).empty());
  EXPECT_FALSE(add("b"));
}

TEST_F(TargetTableTest, RefusedPostsComeBackOneAfterTheOther) {
  stall("a");
  while (!add("a")) continue;
  Duration last{};
  for (int i = 0; i < 100; ++i) {
    const auto refusal = add("a");
    ASSERT_TRUE(refusal);
    EXPECT_NE(refusal->post, nullptr);
    EXPECT_GT(refusal->retry_after, last);
    last = refusal->retry_after;
  }
  EXPECT_GT(last, seconds(490)) << "100 transfers of 10 s, two at once";
  EXPECT_LT(last, seconds(510));
}

TEST_F(TargetTableTest, RestsAfterFailuresInARow) {
  fail("a", 2);
  table_.end(*started("a"), Reach::kAnswered, now_);
  fail("a", 3);
  const auto refusal = add("a");
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->retry_after, seconds(1));
  EXPECT_FALSE(add("b")) << "others do not rest";
}

TEST_F(TargetTableTest, OneProbeGoesAfterTheRestAndDecides) {
  fail("a", 3);
  now_ += seconds(1);
  auto probe = started("a");
  EXPECT_TRUE(probe->probe);
  EXPECT_TRUE(add("a")) << "only one";
  table_.end(*probe, Reach::kAnswered, now_);
  EXPECT_FALSE(add("a"));
  EXPECT_FALSE(add("a"));
}

TEST_F(TargetTableTest, RestsGrowUpToALimit) {
  fail("a", 3);
  for (const int expected : {2, 4, 4}) {
    now_ += seconds(10);
    table_.end(*started("a"), Reach::kFailed, now_);
    const auto refusal = add("a");
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->retry_after, seconds(expected));
  }
}

TEST_F(TargetTableTest, AProbeThatTellsNothingIsFollowedByAnother) {
  fail("a", 3);
  now_ += seconds(1);
  table_.end(*started("a"), Reach::kUnknown, now_);
  EXPECT_TRUE(started("a")->probe);
}

TEST_F(TargetTableTest, WhatWaitsIsGivenBackWhenTheRestBegins) {
  fail("a", 2);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(add("a"));
  auto first = table_.next(now_);
  auto second = table_.next(now_);
  const auto refusals = table_.end(*first, Reach::kFailed, now_);
  EXPECT_EQ(refusals.size(), 3U);
  EXPECT_EQ(table_.in_hand(), 1U);
  EXPECT_EQ(table_.next(now_), nullptr);
  EXPECT_TRUE(table_.end(*second, Reach::kFailed, now_).empty());
  const auto refusal = add("a");
  ASSERT_TRUE(refusal) << "an older failure does not prolong the rest";
  EXPECT_LT(refusal->retry_after, seconds(2));
  EXPECT_EQ(table_.in_hand(), 0U);
}

TEST_F(TargetTableTest, TheLongestIdleTargetIsForgotten) {
  fail("a", 3);
  for (int i = 0; i < 19; ++i) table_.end(*started("t" + std::to_string(i)), Reach::kAnswered, now_);
  EXPECT_EQ(table_.size(), 20U);
  EXPECT_TRUE(add("a")) << "still known";
  auto busy = started("t0");
  table_.end(*started("new"), Reach::kAnswered, now_);
  EXPECT_EQ(table_.size(), 20U);
  EXPECT_FALSE(add("a")) << "forgotten, with its rest";
  EXPECT_EQ(table_.size(), 20U);
  table_.end(*busy, Reach::kAnswered, now_);
}

TEST_F(TargetTableTest, ARefusalTellsWhetherTheTargetAnswers) {
  fail("dead", 3);
  EXPECT_TRUE(add("dead")->rests);
  stall("slow");
  std::optional<TargetTable::Refusal> refused;
  for (int i = 0; i < 16 && !refused; ++i) refused = add("slow");
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->rests);
}

}  // namespace
}  // namespace sterna::callback
