#include "pool/hello.h"

#include <gtest/gtest.h>

#include "wire/frame.h"

namespace sterna::pool {
namespace {

std::string times(std::string_view text, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

TEST(Hello, IsWhatTheWorkerSays) {
  const auto ready = read_hello(R"({"runtime": "python 3.11.2", "async": true, "not_paused": "2 threads"})");
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->runtime, "python 3.11.2");
  EXPECT_TRUE(ready->async);
  EXPECT_EQ(ready->not_paused, "2 threads");
  const auto failed = read_hello(R"({"summary": "a\nb", "detail": "c\nd\u0007"})");
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->summary, "a b");
  EXPECT_EQ(failed->detail, "c\nd\\x07");
  EXPECT_FALSE(failed->async);
  EXPECT_TRUE(read_hello("{}"));
}

TEST(Hello, OtherTypesAndNamesAreNothing) {
  const auto hello = read_hello(
      R"({"runtime": 1, "async": "yes", "summary": null, "detail": -1.5, "more": 18446744073709551615})");
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->runtime + hello->summary + hello->detail, "");
  EXPECT_FALSE(hello->async);
}

TEST(Hello, TextsAreCut) {
  const auto hello = read_hello(R"({"runtime": ")" + times("r", 1000) + R"(", "summary": ")" +
                                times("s", 5000) + R"(", "detail": ")" + times("d", 100'000) + R"("})");
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->runtime, times("r", Hello::kMaxRuntime) + "...");
  EXPECT_EQ(hello->summary, times("s", Hello::kMaxSummary) + "...");
  EXPECT_EQ(hello->detail.size(), 100'000U);
}

TEST(Hello, WhatTakesLongToReadIsNone) {
  EXPECT_FALSE(read_hello(R"({"detail": ")" + times("d", wire::kMaxHelloBytes) + R"("})"));
  EXPECT_FALSE(read_hello(R"({"a": )" + times("[", 1000) + times("]", 1000) + "}"));
  EXPECT_FALSE(read_hello(times(R"({"":)", 1000) + "0" + times("}", 1000)));
  std::string members;
  for (int i = 0; i < 1000; ++i) members += '"' + std::to_string(i) + "\":0,";
  EXPECT_FALSE(read_hello("{" + members + R"("a":0})"));
}

TEST(Hello, WhatIsNoObjectIsNone) {
  for (const char* text :
       {"", "{", "[]", "1", "-1", "1.5", "\"a\"", "true", "null", "{}{}", "{\"a\":}", "\xff"})
    EXPECT_FALSE(read_hello(text)) << text;
}

}  // namespace
}  // namespace sterna::pool
