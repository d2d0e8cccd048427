#include "gateway/route.h"

#include <gtest/gtest.h>

namespace sterna::gateway {
namespace {

struct RouteCase {
  std::string_view target;
  RouteKind kind;
  std::string_view space = {};
  std::string_view function = {};
  std::string_view tail = {};
  std::string_view query = {};
};

TEST(ParseRoute, Table) {
  const RouteCase rows[] = {
      {"/spaces/s/functions/f/invoke", RouteKind::kInvoke, "s", "f"},
      {"/spaces/s/functions/f/invoke/", RouteKind::kInvoke, "s", "f", "/"},
      {"/spaces/s/functions/f/invoke/a/b?x=1?y", RouteKind::kInvoke, "s", "f", "/a/b", "x=1?y"},
      {"/spaces/s/functions/f/invoke?", RouteKind::kInvoke, "s", "f"},
      {"http://h:80/spaces/s/functions/f/invoke/a?b", RouteKind::kInvoke, "s", "f", "/a", "b"},
      {"/spaces/s/functions/f/logs?tail=1", RouteKind::kLogs, "s", "f", "", "tail=1"},
      {"/spaces/s/functions/f/invoked", RouteKind::kManagement},
      {"/spaces/s/functions/f/logs/x", RouteKind::kManagement},
      {"/spaces/s/functions/f", RouteKind::kManagement},
      {"/spaces/s/functions/f/async-invoke", RouteKind::kAsyncInvoke, "s", "f"},
      {"/spaces/s/functions/f/async-invoke/a?b", RouteKind::kAsyncInvoke, "s", "f", "/a", "b"},
      {"/spaces/s/functions/f/async-invoked", RouteKind::kManagement},
      {"/spaces/s/functions/f/invocations?state=failed", RouteKind::kInvocations, "s", "f", "",
       "state=failed"},
      {"/spaces/s/functions/f/invocations/X/redrive", RouteKind::kInvocations, "s", "f", "/X/redrive"},
      {"/spaces", RouteKind::kManagement},
      {"/healthz", RouteKind::kHealth},
      {"/healthz?x", RouteKind::kHealth, "", "", "", "x"},
      {"/healthz/", RouteKind::kManagement},
      {"/readyz", RouteKind::kReady},
      {"/metrics", RouteKind::kMetrics},
      {"https://h", RouteKind::kManagement},
      {"HTTP://h/healthz", RouteKind::kHealth},
      {"http://h?x=/healthz", RouteKind::kManagement, "", "", "", "x=/healthz"},
      {"http://h?/spaces/s/functions/f/invoke", RouteKind::kManagement, "", "", "",
       "/spaces/s/functions/f/invoke"},
      {"/", RouteKind::kManagement},
  };
  for (const RouteCase& row : rows) {
    const auto route = parse_route(row.target);
    ASSERT_TRUE(route) << row.target;
    EXPECT_EQ(route->kind, row.kind) << row.target;
    EXPECT_EQ(route->query, row.query) << row.target;
    if (row.kind != RouteKind::kInvoke && row.kind != RouteKind::kLogs) continue;
    EXPECT_EQ(route->space, row.space) << row.target;
    EXPECT_EQ(route->function, row.function) << row.target;
    EXPECT_EQ(route->tail, row.tail) << row.target;
  }
}

TEST(ParseRoute, RefusesWhatIsNoPath) {
  for (const char* target : {"", "*", "spaces", "ftp://h/", "/a#b", "/a?b#c", "http://h#b",
                             "http://h#/healthz", "http:///healthz", "http://", "http:/x"}) {
    const auto route = parse_route(target);
    ASSERT_FALSE(route) << target;
    EXPECT_EQ(route.error().reason, "bad_path") << target;
  }
}

std::string path_of(std::string_view tail) {
  const auto path = function_path(tail, 3);
  return path ? *path : path.error().reason;
}

TEST(FunctionPath, IsDecoded) {
  EXPECT_EQ(path_of(""), "/");
  EXPECT_EQ(path_of("/"), "/");
  EXPECT_EQ(path_of("/a%20b/%C3%BC"), "/a b/\xc3\xbc");
  EXPECT_EQ(path_of("/a+b"), "/a+b");
  EXPECT_EQ(path_of("/a/b/c/"), "/a/b/c/");
}

TEST(FunctionPath, LevelsAreCountedRawAndEmptyOnesNot) {
  EXPECT_EQ(path_of("/a/b/c/d"), "path_too_deep");
  EXPECT_EQ(path_of("/a%2Fb/c/d"), "/a/b/c/d");
  EXPECT_EQ(path_of("//a//b//c//"), "//a//b//c//");
  EXPECT_EQ(function_path("/a/b/c/d", 3).error().code, Code::kNotFound);
  EXPECT_TRUE(function_path("/a/b/c/d", 4));
}

TEST(FunctionPath, RefusesDotsAndBrokenEscapes) {
  for (const char* tail :
       {"/.", "/..", "/a/../b", "/%2e%2E", "/.%2e", "/a/%2E", "/%", "/%4", "/%zz", "/a%00b"}) {
    EXPECT_EQ(path_of(tail), "bad_path") << tail;
  }
  EXPECT_EQ(path_of("/..."), "/...");
  EXPECT_EQ(path_of("/.a"), "/.a");
}

// A segment that hides a slash may hide dots behind it.
TEST(FunctionPath, RefusesDotsBehindAnEscapedSlash) {
  for (const char* tail : {"/a%2F..", "/..%2Fetc", "/a%2f%2e%2e%2fb", "/%2F."}) {
    EXPECT_EQ(path_of(tail), "bad_path") << tail;
  }
}

TEST(QueryParameter, FirstOfThatName) {
  std::string value;
  EXPECT_TRUE(query_parameter("a=1&b=x+y%21&b=2", "b", value));
  EXPECT_EQ(value, "x y!");
  EXPECT_TRUE(query_parameter("a&b=", "a", value));
  EXPECT_EQ(value, "");
  EXPECT_TRUE(query_parameter("a=b=c", "a", value));
  EXPECT_EQ(value, "b=c");
  EXPECT_TRUE(query_parameter("a=%zz", "a", value));
  EXPECT_EQ(value, "%zz");
  for (const char* query : {"", "&", "ab=1", "b&c"})
    EXPECT_FALSE(query_parameter(query, "a", value)) << query;
}

}  // namespace
}  // namespace sterna::gateway
