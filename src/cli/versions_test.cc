#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/commands.h"
#include "cli/run_program.h"
#include "cli/test_server.h"

namespace sterna::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Versions, AreListed) {
  TestServer server({reply_with("200 OK", "",
                                R"({"data":[{"version":2,"state":"active","template":"cpp","created_at":"T"}],
                                    "paging":{"next_cursor":null}})")});
  EXPECT_EQ(run({"versions", "list", "f", "--url", server.url().c_str()}).out,
            "VERSION  STATE   TEMPLATE  CREATED\n2        active  cpp       T\n");
}

TEST(Versions, OneIsShownWithItsSettings) {
  TestServer server({reply_with("200 OK", "", R"({"version":2,"spec":{"limits":{"memory_mb":64}}})")});
  const Ran ran = run({"versions", "show", "f", "2", "--url", server.url().c_str()});
  EXPECT_THAT(ran.out, HasSubstr("spec.limits.memory_mb"));
  EXPECT_THAT(server.requests().at(0), StartsWith("GET /spaces/default/functions/f/versions/2 "));
}

TEST(Versions, DiffIsSettingsAndAPatch) {
  TestServer server({reply_with("200 OK", "",
                                R"({"settings":[{"field":"env.A","from":null,"to":"1"}],
                                    "files":[{"path":"a","change":"changed","diff":"--- a/a\n+++ b/a\n"},
                                             {"path":"b","change":"added","from_bytes":null,"to_bytes":7,"diff":""}],
                                    "truncated":true})"),
                     reply_with("200 OK", "", R"({"settings":[],"files":[],"truncated":false})")});
  const std::string url = server.url();
  EXPECT_EQ(
      run({"versions", "diff", "f", "1", "2", "--url", url.c_str()}).out,
      "env.A: null -> \"1\"\n--- a/a\n+++ b/a\nb added (- -> 7 bytes)\n(some files are too large to show)\n");
  EXPECT_EQ(run({"versions", "diff", "f", "2", "2", "--url", url.c_str()}).out, "no difference\n");
  EXPECT_THAT(server.requests().at(0), StartsWith("GET /spaces/default/functions/f/versions/1/diff/2 "));
}

TEST(Versions, NumbersArePositive) {
  EXPECT_EQ(run({"versions", "show", "f", "0"}).status, kExitUsage);
  EXPECT_EQ(run({"versions", "diff", "f", "1"}).status, kExitUsage);
}

}  // namespace
}  // namespace sterna::cli
