#include "worker/log_lines.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace sterna::worker {
namespace {

using wire::Stream;

struct Logged {
  std::uint64_t call;
  Stream stream;
  std::string text;
  bool operator==(const Logged&) const = default;
};

// Cuts `out` into its LOG frames and empties it.
std::vector<Logged> drain(std::string& out) {
  wire::FrameReader reader;
  std::memcpy(reader.prepare(out.size()), out.data(), out.size());
  reader.commit(out.size());
  out.clear();
  std::vector<Logged> all;
  for (auto frame = reader.next(); frame.value(); frame = reader.next()) {
    wire::LogText log;
    EXPECT_TRUE(wire::read_log((*frame)->payload, log));
    all.push_back({(*frame)->call, log.stream, std::string(log.text)});
  }
  return all;
}

TEST(LogLines, SendsWholeLinesAndKeepsTheRest) {
  LogLines lines;
  std::string out;
  lines.add(out, 1, Stream::kStdout, "one\ntwo\nthr");
  EXPECT_EQ(drain(out), (std::vector<Logged>{{1, Stream::kStdout, "one\ntwo\n"}}));
  lines.add(out, 1, Stream::kStdout, "ee");
  EXPECT_TRUE(out.empty());
  lines.add(out, 1, Stream::kStdout, "\n");
  EXPECT_EQ(drain(out), (std::vector<Logged>{{1, Stream::kStdout, "three\n"}}));
}

TEST(LogLines, KeepsCallsAndStreamsApart) {
  LogLines lines;
  std::string out;
  lines.add(out, 1, Stream::kStdout, "a");
  lines.add(out, 2, Stream::kStdout, "b");
  lines.add(out, 1, Stream::kStderr, "c");
  lines.end_call(out, 1);
  EXPECT_EQ(drain(out), (std::vector<Logged>{{1, Stream::kStdout, "a\n"}, {1, Stream::kStderr, "c\n"}}));
  lines.end_call(out, 1);
  EXPECT_TRUE(out.empty());
  lines.end_all(out);
  EXPECT_EQ(drain(out), (std::vector<Logged>{{2, Stream::kStdout, "b\n"}}));
}

TEST(LogLines, CutsLongLinesBetweenCharacters) {
  LogLines lines;
  std::string out;
  std::string text = "a";
  while (text.size() < 3 * kMaxLineBytes) text += "\xc3\xa9";
  lines.add(out, 1, Stream::kStdout, text);
  lines.end_call(out, 1);
  std::string joined;
  for (const Logged& logged : drain(out)) {
    std::string_view rest = logged.text;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      ASSERT_LE(end, kMaxLineBytes);
      joined += rest.substr(0, end);
      rest.remove_prefix(end + 1);
    }
  }
  EXPECT_EQ(joined, text);
}

TEST(LogLines, KeepsFramesBelowTheLimit) {
  LogLines lines;
  std::string out;
  std::string text;
  for (int line = 0; line < 9; ++line) text += std::string(15'000, 'x') + '\n';
  lines.add(out, 1, Stream::kStdout, text);
  std::string joined;
  for (const Logged& logged : drain(out)) {
    EXPECT_LE(logged.text.size(), kMaxLogFrame);
    joined += logged.text;
  }
  EXPECT_EQ(joined, text);
}

TEST(LogLines, ForgetsNothingWhenManyCallsLeaveUnfinishedLines) {
  LogLines lines;
  std::string out;
  for (std::uint64_t call = 1; call <= kMaxUnfinishedLines + 1; ++call)
    lines.add(out, call, Stream::kStdout, "x");
  EXPECT_EQ(drain(out).size(), kMaxUnfinishedLines + 1);
}

TEST(LogLines, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(to_valid_utf8("ok \xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6"),
            "ok \xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6");
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(to_valid_utf8("\xff"), bad);
  EXPECT_EQ(to_valid_utf8("\xc3"), bad);
  EXPECT_EQ(to_valid_utf8("\xc0\xaf"), bad + bad) << "overlong";
  EXPECT_EQ(to_valid_utf8("\xed\xa0\x80"), bad + bad + bad) << "surrogate";
  EXPECT_EQ(to_valid_utf8("\xf4\x90\x80\x80"), bad + bad + bad + bad) << "over U+10FFFF";
}

}  // namespace
}  // namespace sterna::worker
