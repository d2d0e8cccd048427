#include "gateway/fingerprint.h"

#include <gtest/gtest.h>

#include <set>

namespace sterna::gateway {
namespace {

using Headers = std::vector<net::Header>;

std::string key_of(std::string_view app, const Headers& headers, std::string_view key = "order-1") {
  net::HttpRequest request;
  request.headers = headers;
  return callers_key(app, request, key);
}

TEST(CallersKey, EachCallersIsAnother) {
  const std::set<std::string> all = {
      key_of("app", {}),
      key_of("other", {}),
      key_of("app", {}, "order-2"),
      key_of("", {}),
      key_of("", {}, "order-2"),
      key_of("", {{"Authorization", "Basic alice"}}),
      key_of("", {{"Authorization", "Basic mallory"}}),
      key_of("", {{"Authorization", "Basic alice"}, {"Authorization", "Basic mallory"}}),
      key_of("", {{"Authorization", ""}}),
      key_of("", {{"Cookie", "Basic alice"}}),
      key_of("", {{"Cookie", "session=1"}}),
      key_of("", {{"Cookie", "session=1"}, {"Cookie", "theme=dark"}}),
      key_of("", {{"Authorization", "Basic alice"}, {"Cookie", "session=1"}}),
      key_of("Basic alice", {}),
  };
  EXPECT_EQ(all.size(), 14U);
}

TEST(CallersKey, ACallerFindsItsOwn) {
  EXPECT_EQ(key_of("app", {{"Authorization", "Bearer old"}}),
            key_of("app", {{"Authorization", "Bearer new"}}));
  EXPECT_EQ(key_of("app", {{"Cookie", "a=1"}}), key_of("app", {}));
  EXPECT_EQ(key_of("", {{"Authorization", "Basic alice"}, {"X-A", "1"}, {"Cookie", "session=1"}}),
            key_of("", {{"cookie", "session=1"}, {"authorization", "Basic alice"}}));
  EXPECT_EQ(key_of("", {{"X-A", "1"}}), key_of("", {}));
}

}  // namespace
}  // namespace sterna::gateway
