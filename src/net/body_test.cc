#include "net/body.h"

#include <gtest/gtest.h>

namespace sterna::net {
namespace {

std::string all_of(const Body& body, std::size_t step) {
  std::string text;
  while (text.size() < body.size()) {
    const auto got = body.read(text.size(), step, text);
    if (!got || *got == 0) return "<" + (got ? std::string("nothing") : got.error().detail) + ">";
  }
  return text;
}

TEST(Body, SmallStaysInMemory) {
  BodyBudget budget;
  Body body(budget);
  ASSERT_TRUE(body.append("hel"));
  ASSERT_TRUE(body.append("lo"));
  EXPECT_EQ(body.memory(), "hello");
  EXPECT_EQ(body.size(), 5U);
  EXPECT_EQ(budget.in_use, 5U);
  EXPECT_EQ(all_of(body, 2), "hello");
}

TEST(Body, LargeGoesToAFileFromWhereItNoLongerFits) {
  BodyBudget budget{.body_limit = 4};
  Body body(budget);
  for (const char* part : {"abc", "def", "g"}) ASSERT_TRUE(body.append(part));
  EXPECT_EQ(body.memory(), "abc");
  EXPECT_EQ(body.size(), 7U);
  EXPECT_EQ(budget.in_use, 3U);
  EXPECT_EQ(all_of(body, 100), "abcdefg");
  EXPECT_EQ(all_of(body, 2), "abcdefg");
}

TEST(Body, AllBodiesShareTheBudget) {
  BodyBudget budget{.memory_limit = 5};
  Body one(budget);
  Body two(budget);
  ASSERT_TRUE(one.append("1234"));
  ASSERT_TRUE(two.append("56"));
  EXPECT_EQ(two.memory(), "");
  EXPECT_EQ(all_of(two, 9), "56");
  one.clear();
  EXPECT_EQ(budget.in_use, 0U);
  ASSERT_TRUE(one.append("12345"));
  EXPECT_EQ(one.memory(), "12345");
}

TEST(Body, ClearedIsEmptyAndGivesItsMemoryBack) {
  BodyBudget budget{.body_limit = 2};
  {
    Body body(budget);
    ASSERT_TRUE(body.append("a"));
    ASSERT_TRUE(body.append("bcd"));
    body.clear();
    EXPECT_EQ(body.size(), 0U);
    ASSERT_TRUE(body.append("xy"));
    EXPECT_EQ(body.memory(), "xy");
  }
  EXPECT_EQ(budget.in_use, 0U);
}

TEST(Body, SpoolThatCannotBeWrittenIsAnError) {
  BodyBudget budget{.body_limit = 0, .spool_dir = "/proc/nowhere"};
  Body body(budget);
  const Status kept = body.append("x");
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, Code::kIo);
  EXPECT_EQ(kept.error().detail.find("/proc"), std::string::npos);
}

}  // namespace
}  // namespace sterna::net
