#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/commands.h"
#include "cli/run_program.h"
#include "cli/test_server.h"

namespace sterna::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kShares = R"({"versions":[{"version":6,"percent":90},{"version":7,"percent":10}]})";

TEST(Traffic, IsShown) {
  TestServer server({reply_with("200 OK", "", kShares)});
  EXPECT_EQ(run({"traffic", "f", "--url", server.url().c_str()}).out,
            "VERSION  PERCENT\n6        90\n7        10\n");
  EXPECT_THAT(server.requests().at(0), StartsWith("GET /spaces/default/functions/f/traffic "));
}

TEST(Traffic, WhatIsNotGivenAwayGoesToTheActiveVersion) {
  TestServer server({reply_with("200 OK", "", R"({"active_version":6})"), reply_with("200 OK", "", kShares)});
  EXPECT_THAT(run({"traffic", "f", "7=10", "--url", server.url().c_str()}).out, HasSubstr("7        10\n"));
  EXPECT_THAT(server.requests().at(1), StartsWith("PUT /spaces/default/functions/f/traffic "));
  EXPECT_THAT(server.requests().at(1),
              HasSubstr(R"({"versions":[{"percent":10,"version":7},{"percent":90,"version":6}]})"));
}

TEST(Traffic, AllNeedsNoOther) {
  TestServer server({reply_with("200 OK", "", R"({"active_version":6})"), reply_with("200 OK", "", kShares)});
  run({"traffic", "f", "7=100", "--url", server.url().c_str()});
  EXPECT_THAT(server.requests().at(1), HasSubstr(R"({"versions":[{"percent":100,"version":7}]})"));
}

TEST(Traffic, SaysWhatAShareIs) {
  for (const char* share : {"7", "7=", "=10", "7=0", "7=101", "7=1x", "0=10", "x=1"}) {
    const Ran ran = run({"traffic", "f", share});
    EXPECT_EQ(ran.status, kExitUsage) << share;
    EXPECT_THAT(ran.err, HasSubstr("VERSION=PERCENT")) << share;
  }
}

TEST(Traffic, OfTheActiveVersionIsWhatTheOtherLeaves) {
  TestServer server({reply_with("200 OK", "", R"({"active_version":7})")});
  EXPECT_THAT(run({"traffic", "f", "7=10", "--url", server.url().c_str()}).err,
              HasSubstr("name the other one"));
}

TEST(Traffic, NeedsAVersionThatRuns) {
  TestServer server({reply_with("200 OK", "", R"({"active_version":null})")});
  EXPECT_THAT(run({"traffic", "f", "7=10", "--url", server.url().c_str()}).err,
              HasSubstr("no version of the function"));
}

}  // namespace
}  // namespace sterna::cli
