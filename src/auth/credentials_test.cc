#include "auth/credentials.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace sterna::auth {
namespace {

TEST(Credentials, AreRandomLettersBehindAKnownPrefix) {
  std::set<std::string> seen;
  std::set<char> letters;
  for (int i = 0; i < 200; ++i) {
    for (const auto& [text, prefix] :
         {std::pair(new_token(), kTokenPrefix), std::pair(new_client_secret(), kSecretPrefix)}) {
      ASSERT_TRUE(text.starts_with(prefix)) << text;
      const std::string random = text.substr(prefix.size());
      EXPECT_EQ(random.size(), 43U);
      EXPECT_TRUE(std::ranges::all_of(random, [](unsigned char c) { return std::isalnum(c) != 0; })) << text;
      letters.insert(random.begin(), random.end());
      EXPECT_TRUE(seen.insert(text).second);
    }
  }
  EXPECT_EQ(letters.size(), 62U) << "every letter and digit comes up";
}

TEST(Hasher, MakesSha256) {
  Hasher hasher;
  const std::string expected(
      "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
      "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad",
      sizeof(Digest));
  EXPECT_EQ(bytes_of(hasher.hash("abc")), expected);
  EXPECT_EQ(bytes_of(hasher.hash("abc")), expected) << "again with the same hasher";
  EXPECT_TRUE(equal(hasher.hash("abc"), digest_of_bytes(expected)));
  EXPECT_FALSE(equal(hasher.hash("abd"), digest_of_bytes(expected)));
}

}  // namespace
}  // namespace sterna::auth
