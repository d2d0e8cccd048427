#include "pool/log_meter.h"

#include <gtest/gtest.h>

#include <string>

namespace sterna::pool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMost = LogMeter::kLinesPerSecond;
const MonotonicTime kStart{std::chrono::hours(1)};

TEST(LogMeter, TakesWhatMostFunctionsPrintAsItIs) {
  LogMeter meter;
  EXPECT_EQ(meter.take("a\nb\n", kStart), "a\nb\n");
  EXPECT_EQ(meter.take("no end", kStart), "no end");
  EXPECT_EQ(meter.take("", kStart), "");
  EXPECT_EQ(meter.dropped(), 0U);
}

TEST(LogMeter, CutsAtTheEndOfALineAndCountsTheRest) {
  LogMeter meter;
  EXPECT_EQ(meter.take(std::string(kMost - 2, '\n'), kStart).size(), kMost - 2);
  EXPECT_EQ(meter.take("one\ntwo\nthree\nfour", kStart), "one\ntwo\n");
  EXPECT_EQ(meter.dropped(), 2U);
  EXPECT_EQ(meter.take("five", kStart), "");
  EXPECT_EQ(meter.dropped(), 3U);
}

TEST(LogMeter, RoomComesBackWithTime) {
  LogMeter meter;
  meter.take(std::string(kMost, '\n'), kStart);
  EXPECT_EQ(meter.take("a\nb\nc\n", kStart + std::chrono::microseconds(250)), "a\nb\n");
  EXPECT_EQ(meter.take(std::string(2 * kMost, '\n'), kStart + seconds(60)).size(), kMost);
}

TEST(LogMeter, ANoticeIsDueASecondAfterTheFirstDrop) {
  LogMeter meter;
  EXPECT_FALSE(meter.is_due(kStart + seconds(5)));
  meter.take(std::string(kMost + 5, '\n'), kStart);
  meter.take(std::string(kMost, '\n'), kStart + milliseconds(500));
  EXPECT_FALSE(meter.is_due(kStart + milliseconds(999)));
  EXPECT_TRUE(meter.is_due(kStart + seconds(1)));
  EXPECT_EQ(meter.dropped(), 5 + kMost / 2);
  meter.forget_dropped();
  EXPECT_FALSE(meter.is_due(kStart + seconds(5)));
}

}  // namespace
}  // namespace sterna::pool
