#include "logs/build_logs.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "logs/temporary_folder.h"

namespace sterna::logs {
namespace {

std::vector<std::string> texts_of(const std::string& ndjson) {
  std::vector<std::string> texts;
  std::istringstream in(ndjson);
  for (std::string line; std::getline(in, line);) texts.push_back(nlohmann::json::parse(line).at("text"));
  return texts;
}

class Reader final : public BuildLogFollower {
 public:
  std::string text;
  bool ended = false;
  void on_build_line(std::string_view ndjson) override { text += ndjson; }
  void on_build_end() override { ended = true; }
};

class BuildLogsTest : public ::testing::Test {
 protected:
  ManualClock clock_;
  TemporaryFolder folder_;
  BuildLogs logs_{folder_.path() / "builds", 2000, clock_};
};

TEST_F(BuildLogsTest, LinesAreRecords) {
  logs_.begin("id", 1);
  logs_.append("id", 1, BuildStream::kOutput, "one\r\ntwo\n\xFF\n");
  logs_.append("id", 1, BuildStream::kPlatform, "three");
  const std::string text = *logs_.recent("id", 1);
  EXPECT_EQ(texts_of(text), (std::vector<std::string>{"one", "two", "\xEF\xBF\xBD", "three"}));
  const auto first = nlohmann::json::parse(text.substr(0, text.find('\n')));
  EXPECT_EQ(first.at("stream"), "output");
  EXPECT_EQ(first.size(), 3U);
}

TEST_F(BuildLogsTest, OfALongLogTheBeginningAndTheEndStay) {
  logs_.begin("id", 1);
  for (int line = 0; line < 1000; ++line) {
    logs_.append("id", 1, BuildStream::kOutput, "line " + std::to_string(line));
  }
  const std::string text = logs_.end("id", 1);
  const auto texts = texts_of(text);
  EXPECT_LT(text.size(), 2300U);
  EXPECT_EQ(texts.front(), "line 0");
  EXPECT_EQ(texts.back(), "line 999");
  EXPECT_EQ(std::ranges::count_if(texts, [](const auto& each) { return each.contains("left out"); }), 1);
}

TEST_F(BuildLogsTest, FollowersSeeWhatComesUntilTheEnd) {
  Reader reader;
  EXPECT_FALSE(logs_.follow("id", 1, reader));
  logs_.begin("id", 1);
  logs_.append("id", 1, BuildStream::kOutput, "before");
  ASSERT_TRUE(logs_.follow("id", 1, reader));
  Reader gone;
  ASSERT_TRUE(logs_.follow("id", 1, gone));
  logs_.unfollow(gone);
  logs_.append("id", 1, BuildStream::kOutput, "after");
  logs_.end("id", 1);
  logs_.append("id", 1, BuildStream::kOutput, "too late");
  EXPECT_EQ(texts_of(reader.text), std::vector<std::string>{"after"});
  EXPECT_TRUE(reader.ended);
  EXPECT_TRUE(gone.text.empty() && !gone.ended);
  EXPECT_FALSE(logs_.follow("id", 1, reader));
}

TEST_F(BuildLogsTest, AreKeptOnDiskForTheLastVersionsOnly) {
  for (const std::int64_t version : {1, 2, 3}) ASSERT_TRUE(logs_.save("id", version, "text\n", 2));
  EXPECT_EQ(logs_.load("id", 1).error().reason, "build_not_found");
  EXPECT_EQ(logs_.load("id", 2).value(), "text\n");
  EXPECT_EQ(logs_.load("id", 3).value(), "text\n");
  logs_.remove("id");
  EXPECT_EQ(logs_.load("id", 3).error().reason, "build_not_found");
}

TEST_F(BuildLogsTest, ThoseOfFunctionsThatAreGoneGoAtAStart) {
  for (const char* id : {"gone", "here", "left"}) ASSERT_TRUE(logs_.save(id, 1, "text\n", 2));
  logs_.keep_only([](const std::string& id) { return id == "here"; });
  EXPECT_TRUE(logs_.load("here", 1));
  for (const char* id : {"gone", "left"}) EXPECT_EQ(logs_.load(id, 1).error().reason, "build_not_found");
}

TEST_F(BuildLogsTest, AnEndedLogIsReadableUntilItIsForgotten) {
  logs_.begin("id", 1);
  logs_.append("id", 1, BuildStream::kOutput, "text");
  logs_.forget("id", 1);  // it has not ended
  EXPECT_TRUE(logs_.recent("id", 1));
  logs_.end("id", 1);
  EXPECT_TRUE(logs_.recent("id", 1));
  logs_.forget("id", 1);
  EXPECT_FALSE(logs_.recent("id", 1));
}

}  // namespace
}  // namespace sterna::logs
