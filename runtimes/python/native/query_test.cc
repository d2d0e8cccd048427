#include "query.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace sterna::python {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs parse(std::string_view query) {
  Pairs pairs;
  QueryWalk walk(query);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) pairs.emplace_back(decode_query_part(name), decode_query_part(value));
  return pairs;
}

TEST(Query, KeepsOrderRepeatedKeysAndBlankValues) {
  EXPECT_EQ(parse("b=1&a=2&b=3&c=&d&=e"),
            (Pairs{{"b", "1"}, {"a", "2"}, {"b", "3"}, {"c", ""}, {"d", ""}, {"", "e"}}));
}

TEST(Query, SkipsEmptyParts) {
  EXPECT_EQ(parse(""), Pairs{});
  EXPECT_EQ(parse("&&a=1&&"), (Pairs{{"a", "1"}}));
}

TEST(Query, SplitsAtTheFirstEqualsSignBeforeDecoding) {
  EXPECT_EQ(parse("a=b=c&d%3De=f%26g"), (Pairs{{"a", "b=c"}, {"d=e", "f&g"}}));
}

TEST(Query, DecodesPlusAndPercent) {
  EXPECT_EQ(decode_query_part("a+b%20c%2B%c3%A9"), "a b c+\xc3\xa9");
}

TEST(Query, LeavesBrokenPercentAsItIs) {
  for (const char* text : {"%", "%4", "%zz", "100%", "%4g", "a%%"}) EXPECT_EQ(decode_query_part(text), text);
}

}  // namespace
}  // namespace sterna::python
