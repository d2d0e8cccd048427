#include "gateway/web_pages.h"

#include <gtest/gtest.h>

#include <string>

namespace sterna::gateway {
namespace {

std::string asked(const std::vector<net::Header>& headers) {
  net::HttpRequest request;
  request.headers = headers;
  const Status allowed = check_page(request);
  return allowed ? "ok" : allowed.error().reason;
}

TEST(WebPages, KnowTheNamesThatSomebodyCanOwn) {
  for (const char* safe :
       {"localhost", "LocalHost:8080", "localhost.", "app.localhost:1", "127.0.0.1", "127.9.8.7:80", "[::1]",
        "[::1]:8080", "192.168.1.1", "0.0.0.0:80", "[fe80::1]:80", "sterna:8080", "x", "", ".", ":80"})
    EXPECT_FALSE(can_be_owned(safe)) << safe;
  for (const char* owned :
       {"evil.example", "evil.example:8080", "Evil.Example.", "localhost.evil.example",
        "evil.example.localhosts", "evil.notlocalhost", "127.0.0.1.evil.example", ".localhost"})
    EXPECT_TRUE(can_be_owned(owned)) << owned;
}

TEST(WebPages, LetProgramsIn) {
  EXPECT_EQ(asked({{"Host", "127.0.0.1:8080"}}), "ok");
  EXPECT_EQ(asked({{"Host", "localhost:8080"}, {"Content-Type", "application/json"}}), "ok");
  EXPECT_EQ(asked({}), "ok") << "HTTP/1.0 has no Host";
}

TEST(WebPages, KeepNamesOutThatPointHere) {
  EXPECT_EQ(asked({{"Host", "evil.example:8080"}}), "host_not_allowed");
  EXPECT_EQ(asked({{"Host", "evil.example"}, {"Origin", "http://evil.example"}}), "host_not_allowed");
  EXPECT_EQ(asked({{"Host", "evil.example"}, {"Sec-Fetch-Site", "same-origin"}}), "host_not_allowed");
}

TEST(WebPages, KeepPagesOfOtherOriginsOut) {
  const net::Header host{"Host", "localhost:8080"};
  for (const char* origin :
       {"https://evil.example", "null", "", "http://localhost:3000", "http://127.0.0.1:8080",
        "http://localhost:8080.evil.example", "file://", "localhost:8080"})
    EXPECT_EQ(asked({host, {"Origin", origin}}), "origin_not_allowed") << origin;
  EXPECT_EQ(asked({host, {"Sec-Fetch-Site", "cross-site"}}), "origin_not_allowed") << "an image, a link";
  EXPECT_EQ(asked({host, {"Sec-Fetch-Site", "same-site"}}), "origin_not_allowed") << "another port";
  EXPECT_EQ(asked({host, {"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "none"}}),
            "origin_not_allowed");
  EXPECT_EQ(asked({host, {"origin", "http://localhost:8080"}, {"sec-fetch-site", "cross-site"}}),
            "origin_not_allowed");
}

TEST(WebPages, LetTheServersOwnPagesIn) {
  EXPECT_EQ(asked({{"Host", "localhost:8080"}, {"Origin", "http://LOCALHOST:8080"}}), "ok");
  EXPECT_EQ(asked({{"Host", "[::1]:8443"}, {"Origin", "https://[::1]:8443"}}), "ok");
  EXPECT_EQ(asked({{"Host", "127.0.0.1:8080"}, {"Sec-Fetch-Site", "none"}}), "ok") << "typed by hand";
  EXPECT_EQ(asked({{"Host", "127.0.0.1:8080"},
                   {"Origin", "http://localhost:5173"},
                   {"Sec-Fetch-Site", "same-origin"}}),
            "ok")
      << "a proxy on this machine, of a developer's own page";
}

}  // namespace
}  // namespace sterna::gateway
