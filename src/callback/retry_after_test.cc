#include "callback/retry_after.h"

#include <gtest/gtest.h>

namespace sterna::callback {
namespace {

using std::chrono::seconds;

const WallTime kNow = *parse_rfc3339("1994-11-06T08:49:00Z");

TEST(RetryAfterTest, Seconds) {
  EXPECT_EQ(parse_retry_after("0", kNow), seconds(0));
  EXPECT_EQ(parse_retry_after(" 120\t", kNow), seconds(120));
  EXPECT_EQ(parse_retry_after("99999999999999999999999", kNow), std::chrono::hours(24 * 365));
  EXPECT_EQ(parse_retry_after("9999999999", kNow), std::chrono::hours(24 * 365));
}

TEST(RetryAfterTest, DatesInAllThreeForms) {
  for (const char* date :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    EXPECT_EQ(parse_retry_after(date, kNow), seconds(37)) << date;
  }
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:48:37 GMT", kNow), seconds(0));
  EXPECT_EQ(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", kNow), std::chrono::hours(24 * 365));
}

TEST(RetryAfterTest, NothingElse) {
  for (const char* value : {"", " ", "soon", "-1", "1.5", "1s", "2024-01-01", "Sun, 99 Nov 1994"}) {
    EXPECT_FALSE(parse_retry_after(value, kNow)) << value;
  }
}

}  // namespace
}  // namespace sterna::callback
