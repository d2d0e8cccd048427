#include "pool/response_check.h"

#include <gtest/gtest.h>

namespace sterna::pool {
namespace {

std::string check(std::uint32_t status, std::string_view name, std::string_view value) {
  std::string block;
  wire::append_header(block, name, value);
  return check_response({.status = status, .header_count = 1, .headers = block});
}

TEST(ResponseCheck, TakesWhatIsWellFormed) {
  EXPECT_EQ(check(200, "Content-Type", "text/plain; charset=utf-8"), "");
  EXPECT_EQ(check(599, "x_1!#$%&'*+-.^`|~", "tab\there"), "");
  EXPECT_EQ(check(204, "Empty", ""), "");
  EXPECT_EQ(check(200, "Umlaut", "gr\xc3\xbc\xc3\x9f"), "");  // obs-text, RFC 9110 5.5
}

TEST(ResponseCheck, RefusesStatusesOutOfRange) {
  for (const unsigned status : {0U, 99U, 100U, 199U, 600U, 1000U})
    EXPECT_NE(check(status, "a", "b"), "") << status;
}

TEST(ResponseCheck, RefusesNamesThatAreNoTokens) {
  for (const char* name : {"", "a b", "a:", "a\r\nb", "(a)", "\xc3\xbc", "a\x7f"})
    EXPECT_NE(check(200, name, "v"), "") << name;
}

TEST(ResponseCheck, RefusesControlCharactersInValues) {
  for (const std::string_view value : {"a\r\nSet-Cookie: x", "a\n", "\r", "\x01", "\x7f"}) {
    EXPECT_NE(check(200, "a", value), "") << value;
  }
  EXPECT_NE(check(200, "a", std::string_view("a\0b", 3)), "");
}

TEST(ResponseCheck, RefusesBrokenAndLargeBlocks) {
  std::string block;
  wire::append_header(block, "a", "b");
  EXPECT_NE(check_response({.header_count = 2, .headers = block}), "");
  EXPECT_NE(check_response({.header_count = 0, .headers = block}), "");
  EXPECT_NE(check_response({.header_count = 1, .headers = std::string_view(block).substr(0, 5)}), "");
  std::string large;
  wire::append_header(large, "a", std::string(wire::kMaxHeaderBytes, 'v'));
  EXPECT_NE(check_response({.header_count = 1, .headers = large}), "");
}

TEST(CountBody, TakesWhatWasAnnounced) {
  using enum wire::More;
  std::uint64_t left = 5;
  EXPECT_TRUE(count_body(left, 3, kYes));
  EXPECT_TRUE(count_body(left, 2, kYes));  // its end may come by itself
  EXPECT_TRUE(count_body(left, 0, kNo));
  std::uint64_t none = 0;
  EXPECT_TRUE(count_body(none, 0, kNo));
  std::uint64_t unknown = wire::kUnknownLength;
  EXPECT_TRUE(count_body(unknown, 1 << 20, kYes));
  EXPECT_TRUE(count_body(unknown, 1, kNo));
}

TEST(CountBody, RefusesMoreAndFewer) {
  using enum wire::More;
  for (const wire::More more : {kYes, kNo}) {
    std::uint64_t left = 5;
    EXPECT_TRUE(count_body(left, 3, kYes));
    EXPECT_FALSE(count_body(left, 3, more));
    std::uint64_t none = 0;
    EXPECT_FALSE(count_body(none, 1, more));
  }
  std::uint64_t left = 5;
  EXPECT_FALSE(count_body(left, 4, kNo));
  std::uint64_t most = wire::kUnknownLength - 1;
  EXPECT_FALSE(count_body(most, 1, kNo));
}

}  // namespace
}  // namespace sterna::pool
