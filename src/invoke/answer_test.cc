// What callers see of an answer beside its body.
#include <gtest/gtest.h>

#include <vector>

#include "invoke/answer_headers.h"
#include "invoke/failures.h"
#include "invoke/timings.h"

namespace sterna::invoke {
namespace {

std::vector<std::string> passed_on(const std::vector<std::pair<std::string, std::string>>& headers) {
  std::string block;
  for (const auto& [name, value] : headers) wire::append_header(block, name, value);
  std::vector<std::string> names;
  for_each_answer_header({.header_count = static_cast<std::uint32_t>(headers.size()), .headers = block},
                         [&](std::string_view name, std::string_view value) {
                           names.push_back(std::string(name) + "=" + std::string(value));
                         });
  return names;
}

TEST(AnswerHeaders, EndToEndOnesAreKeptInOrder) {
  EXPECT_EQ(passed_on({{"B", "1"}, {"a", "2"}, {"B", "3"}, {"Content-Type", "text/plain"}}),
            (std::vector<std::string>{"B=1", "a=2", "B=3", "Content-Type=text/plain"}));
}

TEST(AnswerHeaders, ThoseOfTheConnectionAndOfThePlatformAreNot) {
  EXPECT_EQ(passed_on({{"Connection", "x-hop"},
                       {"X-Hop", "1"},
                       {"connection", "close, X-Two"},
                       {"x-two", "2"},
                       {"Transfer-Encoding", "chunked"},
                       {"Content-Length", "7"},
                       {"X-CALL-ID", "mine"},
                       {"x-duration-seconds", "9"},
                       {"Server-Timing", "a"},
                       {"X-Sterna-Fault", "platform"},
                       {"X-Kept", "yes"}}),
            std::vector<std::string>{"X-Kept=yes"});
}

TEST(Timings, AreDecimals) {
  std::string text;
  append_seconds(text, std::chrono::nanoseconds(1'234'567'890));
  append_seconds(text += ' ', std::chrono::microseconds(7));
  append_milliseconds(text += ' ', std::chrono::microseconds(1500));
  append_seconds(text += ' ', std::chrono::seconds(-1));
  EXPECT_EQ(text, "1.234567 0.000007 1.500 0.000000");
}

TEST(Failures, BecomeProblemDocuments) {
  EXPECT_EQ(problem_document(info_of(pool::Failure::kOutOfMemory), "call-1"),
            R"({"type":"urn:sterna:problem:out_of_memory","title":"Bad Gateway","status":502,)"
            R"("detail":"the function used more memory than limits.memory_mb allows",)"
            R"("reason":"out_of_memory","component":"worker","call_id":"call-1"})");
}

}  // namespace
}  // namespace sterna::invoke
