#include "logs/record.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sterna::logs {
namespace {

Record sample(std::string text) {
  return {"hello",
          "01ARZ3NDEKTSV4RRFFQ69G5FAV",
          *parse_rfc3339("2026-01-02T03:04:05.678Z"),
          std::move(text),
          Stream::kStderr,
          "01ARZ3NDEKTSV4RRFFQ69G5FAW",
          42};
}

TEST(Record, IsOneLineOfJsonInTheOrderOfTheContract) {
  EXPECT_EQ(
      to_ndjson(sample("hi")),
      R"({"name":"hello","instance":"01ARZ3NDEKTSV4RRFFQ69G5FAV","timestamp":"2026-01-02T03:04:05.678Z",)"
      R"("text":"hi","stream":"stderr","call_id":"01ARZ3NDEKTSV4RRFFQ69G5FAW"})"
      "\n");
}

TEST(Record, EscapesWhatWouldBreakALineAndRepairsUtf8) {
  const std::string line = to_ndjson(sample("a\nb\x01\"\\\xff\xc3(\xe2\x82\xac"));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(nlohmann::json::parse(line)["text"], "a\nb\x01\"\\\xef\xbf\xbd\xef\xbf\xbd(\xe2\x82\xac");
}

TEST(Record, StoredLinesReadBack) {
  const Record record = sample("tab\t\xe2\x82\xac");
  const std::string line = to_stored_line(record);
  const Record back = parse_stored_line(std::string_view(line).substr(0, line.size() - 1)).value_or(Record{});
  EXPECT_EQ(back.sequence, 42U);
  EXPECT_EQ(to_ndjson(back), to_ndjson(record));
}

TEST(Record, EveryCutOfAStoredLineIsRefused) {
  const std::string line = to_stored_line(sample("text"));
  for (std::size_t length = 0; length + 1 < line.size(); ++length) {
    if (line[length] == '\n') continue;
    EXPECT_FALSE(parse_stored_line(std::string_view(line).substr(0, length))) << length;
  }
  EXPECT_FALSE(parse_stored_line("[]"));
  EXPECT_FALSE(parse_stored_line(R"({"name":1})"));
}

TEST(Record, LongTextIsCutAtACharacterAndMarked) {
  std::string text = std::string(kMaxTextBytes - 1, 'x') + "\xe2\x82\xac" + "rest";
  cut_text(text);
  EXPECT_EQ(text, std::string(kMaxTextBytes - 1, 'x') + " [cut: 7 more bytes]");

  std::string fits(kMaxTextBytes, 'x');
  cut_text(fits);
  EXPECT_EQ(fits.size(), kMaxTextBytes);

  std::string not_text(kMaxTextBytes + 10, '\x80');
  cut_text(not_text);
  EXPECT_LE(not_text.size(), kMaxTextBytes + 32);
}

}  // namespace
}  // namespace sterna::logs
