#include "callback/allow_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sterna::callback {
namespace {

using ::testing::HasSubstr;

AllowList list_of(const std::vector<std::string>& entries) {
  auto list = AllowList::parse(entries);
  EXPECT_TRUE(list) << (list ? "" : list.error().detail);
  return list ? *list : AllowList{};
}

bool allows(const AllowList& list, std::string_view address) {
  return list.allows(parse_ip(address).value_or(IpAddress{}));
}

TEST(AllowListTest, RangesOfBothFamilies) {
  const AllowList list = list_of({"127.0.0.0/8", "10.1.2.3", "fd00::/8", "::1"});
  EXPECT_TRUE(allows(list, "127.200.0.1"));
  EXPECT_TRUE(allows(list, "::ffff:127.0.0.1"));
  EXPECT_FALSE(allows(list, "128.0.0.1"));
  EXPECT_TRUE(allows(list, "10.1.2.3"));
  EXPECT_FALSE(allows(list, "10.1.2.4"));
  EXPECT_TRUE(allows(list, "fd12::1"));
  EXPECT_FALSE(allows(list, "fe80::1"));
  EXPECT_TRUE(allows(list, "::1"));
  EXPECT_FALSE(allows(list, "::2"));
  EXPECT_FALSE(list.allows_host("localhost"));
}

TEST(AllowListTest, AllOfOneFamilyIsNotTheOther) {
  EXPECT_TRUE(allows(list_of({"0.0.0.0/0"}), "10.0.0.1"));
  EXPECT_FALSE(allows(list_of({"0.0.0.0/0"}), "fd00::1"));
  EXPECT_TRUE(allows(list_of({"::ffff:10.0.0.0/104"}), "10.9.9.9"));
}

TEST(AllowListTest, NamesExactlyOrBelow) {
  const AllowList list = list_of({"Hooks.Internal", "*.corp.example.", "localhost"});
  EXPECT_TRUE(list.allows_host("hooks.internal"));
  EXPECT_TRUE(list.allows_host("HOOKS.internal."));
  EXPECT_FALSE(list.allows_host("x.hooks.internal"));
  EXPECT_TRUE(list.allows_host("a.corp.example"));
  EXPECT_TRUE(list.allows_host("a.b.corp.example"));
  EXPECT_FALSE(list.allows_host("corp.example"));
  EXPECT_FALSE(list.allows_host("evilcorp.example"));
  EXPECT_TRUE(list.allows_host("localhost"));
  EXPECT_FALSE(list.empty());
  EXPECT_TRUE(list_of({}).empty());
}

TEST(AllowListTest, EveryMistakeNamesTheEntry) {
  for (const char* entry : {"",
                            "*",
                            "*.",
                            "10.0.0.0/33",
                            "10.0.0.0/",
                            "10.0.0.0/-1",
                            "10.0.0.0/8x",
                            "10.0.0.1/8",
                            "fd00::/129",
                            "fd00::1/8",
                            "300.1.1.1",
                            "1.2.3",
                            "http://a.example",
                            "a.example:80",
                            "a.example/x",
                            "a b",
                            "a..b",
                            "-a.example",
                            "a*.example",
                            "[::1]",
                            "fe80::1%eth0",
                            "m\xc3\xbcnz.example"}) {
    const auto list = AllowList::parse(std::vector<std::string>{entry});
    ASSERT_FALSE(list) << entry;
    EXPECT_EQ(list.error().reason, "bad_callback_allow");
    EXPECT_THAT(list.error().detail, HasSubstr("'" + std::string(entry) + "'"));
  }
  EXPECT_FALSE(AllowList::parse(std::vector<std::string>(1001, "10.0.0.1")));
}

}  // namespace
}  // namespace sterna::callback
