#include "logs/segments.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "logs/temporary_folder.h"

namespace sterna::logs {
namespace {

const WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};

std::vector<std::string> newest_first(const std::filesystem::path& folder) {
  std::vector<std::string> lines;
  EXPECT_TRUE(visit_lines_backwards(folder, [&](std::string_view line) {
    lines.emplace_back(line);
    return true;
  }));
  return lines;
}

TEST(Segments, ReadBackNewestFirstUntilTheVisitorHasEnough) {
  const TemporaryFolder folder;
  SegmentWriter writer(folder.path() / "f", 4'000);
  ASSERT_TRUE(writer.append("one\ntwo\n", kNow));
  ASSERT_TRUE(writer.append("three\n", kNow));
  EXPECT_EQ(newest_first(folder.path() / "f"), (std::vector<std::string>{"three", "two", "one"}));

  int seen = 0;
  EXPECT_TRUE(visit_lines_backwards(folder.path() / "f", [&](std::string_view) { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
  EXPECT_TRUE(newest_first(folder.path() / "nobody").empty());
}

TEST(Segments, StayWithinTheLimitAndKeepTheNewest) {
  const TemporaryFolder folder;
  SegmentWriter writer(folder.path() / "f", 400);
  for (int i = 100; i < 200; ++i) ASSERT_TRUE(writer.append("line number " + std::to_string(i) + "\n", kNow));
  EXPECT_EQ(writer.segments().size(), kSegmentsPerFunction);
  EXPECT_LE(writer.bytes(), 400U);
  std::uintmax_t on_disk = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder.path() / "f"))
    on_disk += file.file_size();
  EXPECT_EQ(on_disk, writer.bytes());

  const auto lines = newest_first(folder.path() / "f");
  ASSERT_GE(lines.size(), 18U);
  for (std::size_t i = 0; i < lines.size(); ++i)
    EXPECT_EQ(lines[i], "line number " + std::to_string(199 - i));
}

TEST(Segments, AnotherRunGoesOnInTheNewestSegment) {
  const TemporaryFolder folder;
  {
    SegmentWriter writer(folder.path(), 4'000);
    ASSERT_TRUE(writer.append("old\n", kNow));
  }
  SegmentWriter writer(folder.path(), 4'000);
  ASSERT_TRUE(writer.append("new\n", kNow));
  EXPECT_EQ(writer.segments().size(), 1U);
  EXPECT_EQ(newest_first(folder.path()), (std::vector<std::string>{"new", "old"}));
}

TEST(Segments, AFolderThatIsGoneIsMadeAgain) {
  const TemporaryFolder folder;
  SegmentWriter writer(folder.path() / "logs" / "f", 4'000);
  ASSERT_TRUE(writer.append("old\n", kNow));
  std::filesystem::remove_all(folder.path() / "logs");
  ASSERT_TRUE(writer.append("new\n", kNow));
  ASSERT_TRUE(writer.append("newer\n", kNow));
  EXPECT_EQ(newest_first(folder.path() / "logs" / "f"), (std::vector<std::string>{"newer", "new"}));
  EXPECT_EQ(writer.bytes(), std::string("new\nnewer\n").size());
}

TEST(Segments, ATornLineIsNotSeenAndDoesNotSpoilTheNext) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "0007.ndjson") << "whole\nto";
  EXPECT_EQ(newest_first(folder.path()), (std::vector<std::string>{"whole"}));

  SegmentWriter writer(folder.path(), 4'000);
  ASSERT_TRUE(writer.append("next\n", kNow));
  EXPECT_EQ(newest_first(folder.path()), (std::vector<std::string>{"next", "to", "whole"}));
}

TEST(Segments, OtherFilesAreLeftAlone) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "notes.txt") << "mine\n";
  std::ofstream(folder.path() / "x1.ndjson") << "mine\n";
  SegmentWriter writer(folder.path(), 4'000);
  EXPECT_TRUE(writer.segments().empty());
  EXPECT_TRUE(newest_first(folder.path()).empty());
}

TEST(Segments, DroppingTheLastRemovesTheFolder) {
  const TemporaryFolder folder;
  SegmentWriter writer(folder.path() / "f", 400);
  ASSERT_TRUE(writer.append("one\n", kNow));
  writer.drop_oldest();
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "f"));
  ASSERT_TRUE(writer.append("two\n", kNow));
  EXPECT_EQ(newest_first(folder.path() / "f"), (std::vector<std::string>{"two"}));
}

TEST(Segments, ALinkInPlaceOfASegmentIsRefused) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "target") << "";
  std::filesystem::create_symlink(folder.path() / "target", folder.path() / "0001.ndjson");
  SegmentWriter writer(folder.path(), 4'000);
  const Status written = writer.append("line\n", kNow);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kIo);
}

}  // namespace
}  // namespace sterna::logs
