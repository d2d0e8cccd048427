#include "dispatch/reach.h"

#include <gtest/gtest.h>

#include "callback/verdict.h"

namespace sterna::dispatch {
namespace {

class ReachTest : public ::testing::Test {
 protected:
  void fail(const std::string& origin) {
    reach_.note(origin,
                {.verdict = callback::Verdict::kRetry, .status_code = {}, .detail = {}, .retry_after = {}},
                clock_.now());
  }
  void answer(unsigned status) {
    reach_.note(
        "https://one",
        {.verdict = callback::Verdict::kRetry, .status_code = status, .detail = {}, .retry_after = {}},
        clock_.now());
  }
  bool is_lost() const { return reach_.is_lost(clock_.now()); }

  ManualClock clock_;
  Reach reach_;
};

TEST_F(ReachTest, OneReceiverThatIsDownSaysNothing) {
  for (int i = 0; i < 100; ++i) fail("https://one");
  fail("https://two");
  EXPECT_FALSE(is_lost());
}

TEST_F(ReachTest, SeveralInARowDoUntilOneAnswers) {
  fail("https://one");
  fail("https://two");
  fail("https://three");
  EXPECT_TRUE(is_lost());
  answer(503);  // an answer all the same
  EXPECT_FALSE(is_lost());
  fail("https://one");
  EXPECT_FALSE(is_lost());
}

TEST_F(ReachTest, ThoseThatAreDownSayNothingWhileOthersAnswer) {
  const auto all_fail = [this] {
    for (const char* origin : {"https://one", "https://two", "https://three"}) fail(origin);
  };
  for (int i = 0; i < 3; ++i) {
    answer(200);
    clock_.advance(std::chrono::seconds(59));
    all_fail();
    EXPECT_FALSE(is_lost());
  }
  clock_.advance(std::chrono::seconds(1));
  all_fail();
  EXPECT_TRUE(is_lost());
}

TEST_F(ReachTest, WhatWasNotTriedOrIsForbiddenSaysNothing) {
  for (const char* origin : {"https://one", "https://two", "https://three"}) {
    reach_.note(origin, callback::not_attempted("it rests", std::chrono::seconds(1)), clock_.now());
    reach_.note(origin, callback::undeliverable("a private address"), clock_.now());
  }
  EXPECT_FALSE(is_lost());
}

TEST_F(ReachTest, IsForgottenWhenNobodyTriesAnyMore) {
  fail("https://one");
  fail("https://two");
  fail("https://three");
  clock_.advance(std::chrono::minutes(12));
  EXPECT_FALSE(is_lost());
  fail("https://one");
  EXPECT_FALSE(is_lost());
}

}  // namespace
}  // namespace sterna::dispatch
