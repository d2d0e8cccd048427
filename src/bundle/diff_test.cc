#include "bundle/diff.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/clock.h"
#include "bundle/line_diff.h"

namespace sterna::bundle {
namespace {

std::string joined(const std::vector<Edit>& edits, char without) {
  std::string text;
  for (const Edit& edit : edits) {
    if (edit.op != without) text += edit.line;
  }
  return text;
}

std::size_t changed(const std::vector<Edit>& edits) {
  return static_cast<std::size_t>(
      std::ranges::count_if(edits, [](const Edit& edit) { return edit.op != ' '; }));
}

// The length of the shortest list of edits, by the textbook's table.
std::size_t fewest(const Lines& a, const Lines& b) {
  std::vector<std::vector<std::size_t>> table(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        table[i][j] = i + j;
      } else if (a[i - 1] == b[j - 1]) {
        table[i][j] = table[i - 1][j - 1];
      } else {
        table[i][j] = 1 + std::min(table[i - 1][j], table[i][j - 1]);
      }
    }
  }
  return table[a.size()][b.size()];
}

TEST(LineDiff, TurnsOneTextIntoTheOtherWithTheFewestEdits) {
  std::mt19937 random(7);  // NOLINT(bugprone-random-generator-seed): the same texts each time
  for (int round = 0; round < 500; ++round) {
    std::string texts[2];
    for (std::string& text : texts) {
      for (auto left = random() % 20; left > 0; --left) text += std::string(1, "abc"[random() % 3]) + "\n";
    }
    const Lines from = split_lines(texts[0]);
    const Lines to = split_lines(texts[1]);
    Effort effort{.left = kMaxDiffSteps};
    const auto edits = diff_lines(from, to, effort);
    EXPECT_EQ(joined(edits, '+'), texts[0]);
    EXPECT_EQ(joined(edits, '-'), texts[1]);
    EXPECT_EQ(changed(edits), fewest(from, to)) << texts[0] << "--\n" << texts[1];
  }
}

TEST(LineDiff, VeryDifferentTextsAreReplacedAsAWhole) {
  std::string from = "same\n";
  std::string to = "same\n";
  for (int i = 0; i < 2 * kMaxEdits; ++i) {
    from += "a" + std::to_string(i) + "\n";
    to += "b" + std::to_string(i) + "\n";
  }
  const Lines from_lines = split_lines(from);
  const Lines to_lines = split_lines(to);
  Effort effort{.left = kMaxDiffSteps};
  const auto edits = diff_lines(from_lines, to_lines, effort);
  EXPECT_EQ(joined(edits, '+'), from);
  EXPECT_EQ(joined(edits, '-'), to);
  EXPECT_EQ(edits.front().op, ' ');
}

TEST(LineDiff, WithoutEffortTextsAreReplacedAsAWhole) {
  const std::string from = "1\n2\n3\n4\n5\n6\n";
  const std::string to = "1\n3\n4\n5\n7\n6\n";
  const Lines from_lines = split_lines(from);
  const Lines to_lines = split_lines(to);
  Effort enough{.left = 100};
  EXPECT_EQ(changed(diff_lines(from_lines, to_lines, enough)), 2U);
  Effort little{.left = 5};
  const auto edits = diff_lines(from_lines, to_lines, little);
  EXPECT_EQ(joined(edits, '+'), from);
  EXPECT_EQ(joined(edits, '-'), to);
  EXPECT_EQ(changed(edits), 8U);  // all but the first and the last line
  EXPECT_LE(little.left, 0);
}

TEST(UnifiedDiff, ShowsChangesWithTheirSurroundings) {
  std::string from;
  for (int i = 1; i <= 20; ++i) from += std::to_string(i) + "\n";
  std::string to = from;
  to.replace(to.find("5\n"), 2, "five\n");
  to.erase(to.find("19\n"), 3);
  EXPECT_EQ(unified_diff("n.txt", from, to),
            "--- a/n.txt\n+++ b/n.txt\n"
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
            "@@ -16,5 +16,4 @@\n 16\n 17\n 18\n-19\n 20\n");
  EXPECT_EQ(unified_diff("n.txt", from, from), "");
}

TEST(UnifiedDiff, NearChangesShareAHunk) {
  EXPECT_EQ(unified_diff("f", "a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n"),
            "--- a/f\n+++ b/f\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
}

TEST(UnifiedDiff, KnowsEmptyFilesAndMissingLineFeeds) {
  EXPECT_EQ(unified_diff("f", "", "a\n"), "--- a/f\n+++ b/f\n@@ -0,0 +1,1 @@\n+a\n");
  EXPECT_EQ(unified_diff("f", "a\n", ""), "--- a/f\n+++ b/f\n@@ -1,1 +0,0 @@\n-a\n");
  EXPECT_EQ(unified_diff("f", "a\n", "a"),
            "--- a/f\n+++ b/f\n@@ -1,1 +1,1 @@\n-a\n+a\n\\ No newline at end of file\n");
}

TEST(Compare, NamesEveryFileThatDiffers) {
  const Files from = {
      {"a", "1\n"}, {"gone", "x\n"}, {"same", "s"}, {"tool", "t", Executable::kNo}, {"z.bin", "\xff"}};
  const Files to = {
      {"a", "2\n"}, {"new", "y\n"}, {"same", "s"}, {"tool", "t", Executable::kYes}, {"z.bin", "\xfe"}};
  const BundleDiff diff = compare(from, to);
  std::vector<std::string> seen(diff.files.size());
  std::ranges::transform(diff.files, seen.begin(), [](const FileChange& change) {
    return fmt::format("{} {}", change.path, to_string(change.kind));
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"a changed", "gone removed", "new added", "tool mode",
                                            "z.bin changed"}));
  EXPECT_TRUE(diff.files[0].diff.contains("-1\n+2\n"));
  EXPECT_TRUE(diff.files[1].diff.contains("-x\n"));
  EXPECT_TRUE(diff.files[2].diff.contains("+y\n"));
  EXPECT_EQ(diff.files[3].diff, "");
  EXPECT_EQ(diff.files[4].diff, "");  // no text
  EXPECT_EQ(diff.files[1].to_bytes, std::nullopt);
  EXPECT_EQ(diff.files[2].to_bytes, 2U);
  EXPECT_FALSE(diff.truncated);
  EXPECT_TRUE(compare(from, from).files.empty());
}

TEST(Compare, LargeTextsAreNamedOnly) {
  const std::string large(kMaxDiffFile + 1, 'x');
  const BundleDiff one = compare({{"a", large}}, {{"a", "small"}});
  EXPECT_TRUE(one.truncated);
  EXPECT_EQ(one.files.at(0).diff, "");
  Files many;
  for (int i = 0; i < 8; ++i) many.push_back({"f" + std::to_string(i), std::string(200 << 10, 'x')});
  const BundleDiff all = compare({}, many);
  EXPECT_TRUE(all.truncated);
  std::size_t shown = 0;
  for (const FileChange& change : all.files) shown += change.diff.size();
  EXPECT_GT(shown, kMaxDiffBytes / 2);
  EXPECT_LE(shown, kMaxDiffBytes);
  EXPECT_EQ(all.files.size(), 8U);
}

TEST(Compare, TakesSoManyStepsAndNamesTheRest) {
  const std::string from = "1\n2\n3\n4\n";
  const std::string to = "1\n3\n4\n5\n";
  Files before;
  Files after;
  for (int i = 0; i < 100; ++i) {
    before.push_back({fmt::format("f{:02}", i), from});
    after.push_back({fmt::format("f{:02}", i), to});
  }
  EXPECT_FALSE(compare(before, after).truncated);
  const BundleDiff diff = compare(before, after, 500);
  EXPECT_TRUE(diff.truncated);
  EXPECT_EQ(diff.files.size(), 100U);
  EXPECT_NE(diff.files.front().diff, "");
  EXPECT_EQ(diff.files.back().diff, "");
}

// What made one request take minutes: texts whose lines are alike, so that each search goes as far as it may.
TEST(Compare, TakesABoundedTime) {
  std::mt19937 random(7);  // NOLINT(bugprone-random-generator-seed): the same texts each time
  Files before;
  Files after;
  for (int i = 0; i < 1000; ++i) {
    for (Files* files : {&before, &after}) {
      std::string text;
      for (int line = 0; line < 4096; ++line) text += {"ab"[random() % 2], '\n'};
      files->push_back({fmt::format("f{:04}", i), text});
    }
  }
  const SystemClock clock;
  const MonotonicTime begin = clock.now();
  EXPECT_TRUE(compare(before, after).truncated);
  EXPECT_LT(clock.now() - begin, std::chrono::seconds(4));
}

}  // namespace
}  // namespace sterna::bundle
