#include "net/body.h"

#include <gtest/gtest.h>

#include <fstream>

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
  EXPECT_EQ(budget.in_use, 3U + kGathered);
  EXPECT_EQ(all_of(body, 100), "abcdefg");
  EXPECT_EQ(all_of(body, 2), "abcdefg");
}

// How many times it has written to a file or socket.
std::uint64_t writes_of_this_process() {
  std::ifstream io("/proc/self/io");
  std::string name;
  std::uint64_t count = 0;
  while (io >> name >> count) {
    if (name == "syscw:") return count;
  }
  return 0;
}

TEST(Body, PartsOfAByteAreGatheredBeforeTheyAreWritten) {
  constexpr std::size_t kBytes = 3 * kGathered + 5;
  for (const std::size_t memory_limit : {std::size_t{1} << 20, std::size_t{4}}) {
    BodyBudget budget{.memory_limit = memory_limit, .body_limit = 4};
    Body body(budget);
    std::string sent;
    const std::uint64_t before = writes_of_this_process();
    ASSERT_GT(before, 0U);
    for (std::size_t i = 0; i < kBytes; ++i) {
      sent += static_cast<char>('a' + i % 23);
      ASSERT_TRUE(body.append(std::string_view(sent).substr(i)));
      ASSERT_EQ(body.size(), sent.size());
    }
    const std::size_t gathered = memory_limit > kGathered ? kGathered : kLeastGathered;
    constexpr std::size_t kOthers = 10;  // by the tools that a test may run below
    EXPECT_LE(writes_of_this_process() - before, kBytes / gathered + kOthers);
    EXPECT_EQ(budget.in_use, memory_limit > kGathered ? 4 + kGathered : 4);
    EXPECT_EQ(all_of(body, 1000), sent);
    EXPECT_EQ(all_of(body, 1U << 20), sent);
    EXPECT_EQ(body.bytes(), sent);
    Body taken = std::move(body);
    EXPECT_EQ(all_of(taken, 777), sent);
    EXPECT_EQ(body.size(), 0U);  // NOLINT(bugprone-use-after-move): an empty body is left behind
    taken.clear();
    EXPECT_EQ(budget.in_use, 0U);
  }
}

TEST(Body, WhatIsGatheredIsReadWhileMoreComes) {
  BodyBudget budget{.body_limit = 2};
  Body body(budget);
  std::string sent;
  std::string seen;
  for (const std::size_t part : {std::size_t{1}, std::size_t{1}, std::size_t{10}, kGathered - 5, kGathered,
                                 std::size_t{3}, 2 * kGathered, std::size_t{1}}) {
    const std::string text(part, static_cast<char>('a' + sent.size() % 26));
    sent += text;
    ASSERT_TRUE(body.append(text));
    while (seen.size() < body.size()) ASSERT_GT(body.read(seen.size(), 50'000, seen).value_or(0), 0U);
    EXPECT_EQ(seen, sent) << part;
  }
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
