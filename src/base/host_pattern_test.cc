#include "base/host_pattern.h"

#include <gtest/gtest.h>

namespace sterna {
namespace {

bool matches(std::string_view pattern, std::string_view host) {
  const auto parsed = parse_host_pattern(pattern);
  EXPECT_TRUE(parsed) << pattern;
  return parsed && parsed->matches(plain_host(host));
}

TEST(HostPatterns, AreOneName) {
  for (const char* host : {"api.example.com", "API.Example.com", "api.example.com."})
    EXPECT_TRUE(matches("Api.example.com.", host)) << host;
  for (const char* host :
       {"example.com", "x.api.example.com", "xapi.example.com", "api.example.com.evil", ""})
    EXPECT_FALSE(matches("api.example.com", host)) << host;
}

TEST(HostPatterns, OrAllNamesBelowOne) {
  for (const char* host : {"a.example.org", "a.b.example.org", "A.EXAMPLE.ORG."})
    EXPECT_TRUE(matches("*.example.org", host)) << host;
  for (const char* host : {"example.org", ".example.org", "aexample.org", "a.example.org.evil"})
    EXPECT_FALSE(matches("*.example.org", host)) << host;
}

TEST(HostPatterns, AreNothingElse) {
  for (const char* text : {"", ".", "*", "*.", "a..b", "-a.b", "a-.b", "a*.b", "a.*.b", "10.0.0.1", "1.2",
                           "a b", "a/b", "http://a", "b\303\274cher.example", "::1", "a:443"}) {
    EXPECT_FALSE(parse_host_pattern(text)) << text;
  }
  EXPECT_FALSE(parse_host_pattern(std::string(64, 'a') + ".example"));
  std::string longest = "a";
  while (longest.size() < 252) longest += ".a";
  EXPECT_TRUE(parse_host_pattern(longest));
  EXPECT_FALSE(parse_host_pattern(longest + ".a"));
}

TEST(HostTargets, MayHaveAPort) {
  for (const char* text : {"api.example.com", "*.example.org:443", "a:65535"}) {
    const auto target = parse_host_target(text);
    ASSERT_TRUE(target) << text;
    EXPECT_EQ(to_string(*target), text);
  }
  for (const char* text :
       {"a:", "a:0", "a:65536", "a:http", "a:1:2", "a: 1", ":1", "10.0.0.1:80", "[::1]:80"})
    EXPECT_FALSE(parse_host_target(text)) << text;
}

}  // namespace
}  // namespace sterna
