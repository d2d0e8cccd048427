#include "api/toml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sterna::api {
namespace {

using ::testing::HasSubstr;

TEST(Toml, BrokenTextIsAnErrorWithItsLine) {
  EXPECT_EQ(parse_toml("a = 1\n[b]\nc = 'x'", "f")->size(), 2U);
  const auto broken = parse_toml("a = 1\nb = ", "sterna.toml");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().reason, "bad_toml");
  EXPECT_THAT(broken.error().detail, HasSubstr("sterna.toml line 2: "));
}

// Found by tests/fuzz: toml++ asserts what it has not looked at.
TEST(Toml, NamesThatAreNoneDoNotEndTheProgram) {
  for (const char* text : {"[[=]]", "[[\x1bx]]", "[[.a]]", "[=]"}) {
    const auto broken = parse_toml(text, "sterna.toml");
    ASSERT_FALSE(broken) << text;
    EXPECT_THAT(broken.error().detail, HasSubstr("sterna.toml"));
  }
}

// Likewise: toml++ reaches what it marks as unreachable.
TEST(Toml, OtherLettersStandInQuotes) {
  EXPECT_TRUE(
      parse_toml("\xEF\xBB\xBF# \xC3\xA4\n'\xC3\xA4' = \"\\\"\xC3\xA4\"\nb = '''\n'\xC3\xA4'''", "f"));
  for (const char* text : {"a = 1\na\xCF\x9D. = 1",
                           "a = 1\n\xC2\xA0"
                           "b = 1",
                           "a = '\n\xC3\xA4'", "a = 1\nb = 2\"\xC3\xA4"}) {
    const auto broken = parse_toml(text, "f");
    ASSERT_FALSE(broken) << text;
    EXPECT_THAT(broken.error().detail, HasSubstr("f line 2: ")) << text;
  }
}

// What looks like a string to us and is none to toml++.
TEST(Toml, OtherLettersBehindABrokenValueAreAnError) {
  const auto broken = parse_toml("a.b.c = 1[\"127.0.0.D\x1eks.internaa\xCF\x9D.\n ]\nylis", "f");
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().detail, HasSubstr("f line 1: "));
}

}  // namespace
}  // namespace sterna::api
