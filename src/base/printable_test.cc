#include "base/printable.h"

#include <gtest/gtest.h>

namespace sterna {
namespace {

using namespace std::literals;

TEST(Printable, TextStaysAsItIs) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("a\tb\nc \\x"), "a\tb\nc \\x");
  EXPECT_EQ(printable("Grüße, 世界, 🙂, שלום"), "Grüße, 世界, 🙂, שלום");
}

TEST(Printable, ControlCharactersAreEscaped) {
  EXPECT_EQ(printable("\x1b]0;pwn\x07"), R"(\x1b]0;pwn\x07)");
  EXPECT_EQ(printable("a\0b\x7f\b"sv), R"(a\x00b\x7f\x08)");
  EXPECT_EQ(printable("\u009b31m"), R"(\u009b31m)");
}

TEST(Printable, ACarriageReturnCannotHideWhatCameBefore) {
  EXPECT_EQ(printable("good\rforged"), R"(good\x0dforged)");
  EXPECT_EQ(printable("one\r\ntwo\r"), "one\ntwo");
}

TEST(Printable, TheDirectionOfWritingStays) {
  EXPECT_EQ(printable("a\u202eb\u2066c"), R"(a\u202eb\u2066c)");
}

TEST(Printable, WhatIsNoUtf8IsEscapedByteByByte) {
  EXPECT_EQ(printable("\x9b"
                      "31m \xc3"),
            R"(\x9b31m \xc3)");
  EXPECT_EQ(printable("\xc0\x9b \xe2\x28 \xff"), "\\xc0\\x9b \\xe2( \\xff");
  EXPECT_EQ(
      printable("\xe0\x81\x81 \xed\xa0\x80 \xf4\x90\x80\x80"),  // too long, a surrogate, beyond the last
      R"(\xe0\x81\x81 \xed\xa0\x80 \xf4\x90\x80\x80)");
}

TEST(Printable, LineFeedsBecomeSpacesInOneLine) {
  EXPECT_EQ(printable("a\r\nb\n\x1b", std::string::npos, LineFeeds::kReplaced), R"(a b \x1b)");
}

TEST(Printable, IsCutBetweenCharacters) {
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("abcd", 3), "abc...");
  EXPECT_EQ(printable("ab\xc3\xa9", 3), "ab...");
  EXPECT_EQ(printable("\xf0\x9f\x90\xa6!", 3), "...");
  EXPECT_EQ(printable("ab\x1b", 5), "ab...");
  EXPECT_EQ(printable("x", 0), "...");
}

}  // namespace
}  // namespace sterna
