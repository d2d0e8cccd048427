#include "net/header.h"

#include <gtest/gtest.h>

#include <string>

namespace sterna::net {
namespace {

TEST(KnownHeader, WithoutRegardToCase) {
  EXPECT_EQ(known_header("Host"), KnownHeader::kHost);
  EXPECT_EQ(known_header("TE"), KnownHeader::kTe);
  EXPECT_EQ(known_header("cOnTeNt-LeNgTh"), KnownHeader::kContentLength);
  EXPECT_EQ(known_header("PROXY-AUTHORIZATION"), KnownHeader::kProxyAuthorization);
}

TEST(KnownHeader, NothingElseIsOne) {
  for (const char* name : {"", "H", "hos", "hosts", "h0st", "content_length", "content-lengtg", "xhost",
                           "proxy-authorization-of-mine"}) {
    EXPECT_EQ(known_header(name), KnownHeader::kNone) << name;
  }
}

// nullopt: "none".
std::string taken(std::string_view rest) {
  const auto header = take_header(rest);
  if (!header) return "none";
  return std::string(header->name).append("=").append(header->value).append("|").append(rest);
}

TEST(TakeHeader, CutsOneLineOff) {
  EXPECT_EQ(taken("A: b\r\nC: d\r\n"), "A=b|C: d\r\n");
  EXPECT_EQ(taken("a:\r\n"), "a=|");
  EXPECT_EQ(taken("a: \t \r\n"), "a=|");
  EXPECT_EQ(taken("a:  b\t c \r\n"), "a=b\t c|");
  EXPECT_EQ(taken("a: b:c\r\n"), "a=b:c|");
  EXPECT_EQ(taken("a: \x80\xff\r\n"), "a=\x80\xff|");
}

TEST(TakeHeader, RefusesWhatIsNone) {
  for (const char* line : {"", "\r\n", "a\r\n", ": b\r\n", "a : b\r\n", " a: b\r\n", "a b: c\r\n", "a: b",
                           "a: b\n", "a: b\r", "a: b\rc\r\n", "a: b\nc\r\n", "a: \x01\r\n",
                           "a: a long value \x7f\r\n", "a: a long value \x1f of more\r\n"}) {
    EXPECT_EQ(taken(line), "none") << line;
  }
  EXPECT_EQ(taken(std::string("a: x\0y\r\n", 8)), "none");
}

}  // namespace
}  // namespace sterna::net
