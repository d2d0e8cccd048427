#include "net/http_text.h"

#include <gtest/gtest.h>

#include <string>

namespace sterna::net {
namespace {

TEST(HttpText, ComparesWithoutRegardToCase) {
  EXPECT_TRUE(equal_ignoring_case("Host-1", "hOST-1"));
  EXPECT_FALSE(equal_ignoring_case("Host", "Hosts"));
  EXPECT_FALSE(equal_ignoring_case("@", "`"));
  EXPECT_FALSE(equal_ignoring_case("[", "{"));
}

// Each character at each place of texts that are shorter and longer than one step.
TEST(HttpText, EachControlCharacterIsFoundEverywhere) {
  for (std::size_t size = 1; size <= 20; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int c = 0; c < 256; ++c) {
        std::string text(size, 'x');
        text[at] = static_cast<char>(c);
        EXPECT_EQ(is_field_value(text), c == '\t' || (c >= 0x20 && c != 0x7f))
            << size << ' ' << at << ' ' << c;
        EXPECT_EQ(is_visible(text), c > 0x20 && c != 0x7f) << size << ' ' << at << ' ' << c;
      }
    }
  }
  EXPECT_TRUE(is_field_value(""));
}

TEST(HttpText, ContentLengthIsOneNumberOf64Bits) {
  EXPECT_EQ(content_length("0"), 0);
  EXPECT_EQ(content_length("007"), 7);
  EXPECT_EQ(content_length("18446744073709551615"), 18446744073709551615U);
  for (const char* text : {"", "18446744073709551616", "+1", "-1", "1 ", "1,1", "0x1", "1.0"})
    EXPECT_EQ(content_length(text), std::nullopt) << text;
}

TEST(HttpText, Tokens) {
  EXPECT_TRUE(is_token("X-Call_Id.1"));
  for (const char* text : {"", "a b", "a:", "(a)", "\xc3\xa9", "a\t"}) EXPECT_FALSE(is_token(text)) << text;
}

}  // namespace
}  // namespace sterna::net
