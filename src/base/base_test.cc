#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "base/clock.h"
#include "base/error.h"
#include "base/names.h"
#include "base/network.h"
#include "base/status_phrase.h"
#include "base/ulid.h"

namespace sterna {
namespace {

TEST(Names, FollowTheDnsLabelRule) {
  for (const char* good : {"a", "0", "a-b", "hello", "x9"}) EXPECT_TRUE(is_valid_name(good)) << good;
  EXPECT_TRUE(is_valid_name(std::string(63, 'a')));
  for (const char* bad : {"", "-a", "a-", "A", "a_b", "a.b", "ä", "a b"})
    EXPECT_FALSE(is_valid_name(bad)) << bad;
  EXPECT_FALSE(is_valid_name(std::string(64, 'a')));
}

TEST(Network, WordsAreReadBack) {
  for (const Network network : {Network::kNone, Network::kEgress, Network::kHost}) {
    EXPECT_EQ(parse_network(to_string(network)), network);
  }
  for (const char* bad : {"", "Host", "host ", "bridge"}) EXPECT_EQ(parse_network(bad), std::nullopt) << bad;
}

TEST(StatusPhrase, KnowsWhatSternaAnswers) {
  EXPECT_EQ(status_phrase(200), "OK");
  EXPECT_EQ(status_phrase(422), "Unprocessable Content");
  EXPECT_EQ(status_phrase(203), "Non-Authoritative Information");
  EXPECT_EQ(status_phrase(451), "Unavailable For Legal Reasons");
  EXPECT_EQ(status_phrase(507), "Insufficient Storage");
  EXPECT_EQ(status_phrase(299), "Unknown");
}

TEST(Errno, AFullDiskHasOneWord) {
  for (const int number : {ENOSPC, EDQUOT})
    EXPECT_EQ(fail_errno(Component::kRegistry, "write", number).error().reason, "disk_full");
  EXPECT_EQ(fail_errno(Component::kRegistry, "write", EACCES).error().reason, "io_error");
}

TEST(Time, FormatsAndReadsRfc3339) {
  const auto time = parse_rfc3339("2026-01-02T03:04:05.678Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(format_rfc3339(*time), "2026-01-02T03:04:05.678Z");
  EXPECT_EQ(format_rfc3339(*parse_rfc3339("2026-01-02T04:04:05+01:00")), "2026-01-02T03:04:05.000Z");
  EXPECT_EQ(format_rfc3339(*parse_rfc3339("2024-02-29t23:59:59.5z")), "2024-02-29T23:59:59.500Z");
}

TEST(Time, RefusesWhatIsNotRfc3339) {
  for (const char* bad : {"", "2026", "2026-02-30T00:00:00Z", "2026-01-02T25:00:00Z", "2026-01-02T03:04:05",
                          "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05Zx", "2026-01-02T03:04:05+1:00"}) {
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
  }
}

TEST(Ulid, GrowsStrictlyWithinOneMillisecondAndWithTime) {
  ManualClock clock;
  UlidGenerator generator(clock);
  std::set<std::string> seen;
  std::string last;
  for (int i = 0; i < 1000; ++i) {
    if (i % 100 == 0) clock.advance(std::chrono::milliseconds(1));
    const std::string id = generator.next();
    EXPECT_TRUE(is_ulid(id)) << id;
    EXPECT_LT(last, id);
    last = id;
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(Ulid, IsRecognised) {
  EXPECT_TRUE(is_ulid("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
  EXPECT_FALSE(is_ulid("01arz3ndektsv4rrffq69g5fav"));
  EXPECT_FALSE(is_ulid("81ARZ3NDEKTSV4RRFFQ69G5FAV"));
  EXPECT_FALSE(is_ulid("01ARZ3NDEKTSV4RRFFQ69G5FA"));
  EXPECT_FALSE(is_ulid("01ARZ3NDEKTSV4RRFFQ69G5FAU"));
}

}  // namespace
}  // namespace sterna
