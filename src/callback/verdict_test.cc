#include "callback/verdict.h"

#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sterna::callback {
namespace {

TEST(VerdictTest, OfEveryKindOfStatus) {
  for (const unsigned status : {200U, 201U, 202U, 204U, 299U})
    EXPECT_EQ(verdict_for_status(status), Verdict::kDelivered);
  for (const unsigned status : {408U, 425U, 429U, 500U, 501U, 502U, 503U, 504U, 599U, 600U, 999U, 0U, 101U}) {
    EXPECT_EQ(verdict_for_status(status), Verdict::kRetry) << status;
  }
  for (const unsigned status : {300U, 301U, 302U, 303U, 304U, 307U, 308U, 400U, 401U, 403U, 404U, 405U, 409U,
                                410U, 413U, 422U, 451U, 499U}) {
    EXPECT_EQ(verdict_for_status(status), Verdict::kUndeliverable) << status;
  }
}

TEST(VerdictTest, OnlyTheRedirectsThatKeepThePostAreFollowed) {
  for (unsigned status = 0; status < 1000; ++status) {
    EXPECT_EQ(is_followed_redirect(status), status == 307 || status == 308);
  }
}

TEST(VerdictTest, RetryAfterCountsOnlyForARetry) {
  EXPECT_EQ(result_for_answer(503, std::chrono::seconds(3)).retry_after, std::chrono::seconds(3));
  EXPECT_EQ(result_for_answer(404, std::chrono::seconds(3)).retry_after, std::nullopt);
  EXPECT_EQ(result_for_answer(200, std::chrono::seconds(3)).retry_after, std::nullopt);
}

TEST(VerdictTest, FailuresAreRetriedAndSayWhy) {
  for (int code = 1; code < CURL_LAST; ++code) {
    const PostResult result = result_for_failure(code, "words");
    EXPECT_EQ(result.verdict, Verdict::kRetry);
    EXPECT_TRUE(result.attempted);
    EXPECT_THAT(result.detail, ::testing::HasSubstr("receiver"));
  }
}

}  // namespace
}  // namespace sterna::callback
