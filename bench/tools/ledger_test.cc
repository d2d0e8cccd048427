#include "ledger.h"

#include <gtest/gtest.h>

namespace sterna::bench {
namespace {

constexpr Time kStart{std::chrono::hours(1)};

Time at(int ms) {
  return kStart + std::chrono::milliseconds(ms);
}

TEST(Ledger, ACallIsCompletedByItsCallback) {
  Ledger ledger;
  ledger.accepted("a", at(0), at(2));
  EXPECT_EQ(ledger.outstanding(), 1U);
  ledger.called_back("a", true, at(5));
  EXPECT_EQ(ledger.completed(), 1U);
  EXPECT_EQ(ledger.outstanding(), 0U);
  EXPECT_EQ(ledger.accept_ms(), std::vector<double>{2});
  EXPECT_EQ(ledger.callback_ms(), std::vector<double>{5});
}

TEST(Ledger, ACallbackMayComeBeforeIts202) {
  Ledger ledger;
  ledger.called_back("a", true, at(1));
  EXPECT_EQ(ledger.invented(), 1U);
  ledger.accepted("a", at(0), at(3));
  EXPECT_EQ(ledger.invented(), 0U);
  EXPECT_EQ(ledger.completed(), 1U);
  EXPECT_EQ(ledger.callback_ms(), std::vector<double>{1});
}

TEST(Ledger, RepeatedCallbacksAreDuplicatesOfOneCompletion) {
  Ledger ledger;
  ledger.called_back("a", true, at(1));
  ledger.called_back("a", true, at(2));
  ledger.accepted("a", at(0), at(3));
  ledger.called_back("a", true, at(4));
  EXPECT_EQ(ledger.completed(), 1U);
  EXPECT_EQ(ledger.duplicates(), 2U);
}

TEST(Ledger, WhatNobodyAskedForIsInventedAndAnotherBodyIsNoticed) {
  Ledger ledger;
  ledger.accepted("a", at(0), at(1));
  ledger.called_back("b", true, at(2));
  ledger.called_back("a", false, at(3));
  EXPECT_EQ(ledger.invented(), 1U);
  EXPECT_EQ(ledger.wrong_bodies(), 1U);
}

}  // namespace
}  // namespace sterna::bench
