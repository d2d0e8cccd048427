#include "cli/dev_view.h"

#include <gmock/gmock.h>

#include "cli/text.h"

namespace sterna::cli {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

api::Json record() {
  return {{"name", "f"}, {"timestamp", "2026-01-02T03:04:05.678Z"}, {"stream", "stdout"}, {"text", "hi"}};
}

TEST(DevRecord, LinesOfTheFunction) {
  EXPECT_THAT(format_dev_record(record(), Painter(false)), EndsWith(" | hi"));
}

TEST(DevRecord, InvocationsTellStatusAndTimes) {
  api::Json shown = record();
  shown["invocation"] = {{"method", "GET"},
                         {"path", "/a"},
                         {"query", "b=1"},
                         {"status", 200},
                         {"reason", nullptr},
                         {"cold_seconds", 0.04},
                         {"duration_seconds", 0.0431}};
  EXPECT_THAT(format_dev_record(shown, Painter(false)), EndsWith(" GET /a?b=1 200 43.1 ms cold 40.0 ms"));
  shown["invocation"]["status"] = nullptr;
  shown["invocation"]["reason"] = "cancelled";
  shown["invocation"]["cold_seconds"] = 0;
  EXPECT_THAT(format_dev_record(shown, Painter(false)), EndsWith(" GET /a?b=1 cancelled 43.1 ms"));
}

TEST(DevRecord, ColoursOnlyWhereTheyAreShown) {
  EXPECT_THAT(format_dev_record(record(), Painter(true)), HasSubstr("\x1b["));
  EXPECT_THAT(format_dev_record(record(), Painter(false)), Not(HasSubstr("\x1b")));
}

TEST(DevRecord, TextCannotSteerTheTerminal) {
  api::Json shown = record();
  shown["text"] = "\x1b[2Jgone";
  EXPECT_THAT(format_dev_record(shown, Painter(false)), EndsWith(" | \\x1b[2Jgone"));
}

TEST(DescribeSize, UnitsGrow) {
  EXPECT_EQ(describe_size(1, 12), "1 file, 12 bytes");
  EXPECT_EQ(describe_size(3, 2048), "3 files, 2.0 KiB");
  EXPECT_EQ(describe_size(30, 5U << 20), "30 files, 5.0 MiB");
}

}  // namespace
}  // namespace sterna::cli
