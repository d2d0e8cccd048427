#include "callback/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sterna::callback {
namespace {

using ::testing::HasSubstr;

Target target_of(std::string_view url) {
  auto target = parse_target(url);
  EXPECT_TRUE(target) << url << ": " << (target ? "" : target.error().detail);
  return target ? *target : Target{};
}

AllowList list_of(const std::vector<std::string>& entries) {
  return *AllowList::parse(entries);
}

TEST(TargetTest, PartsOfAUrl) {
  const Target target = target_of("HTTPS://Hooks.Example.com:8443/a/../b%20c?x=1&y=%5B2%5D#part");
  EXPECT_EQ(target.host, "hooks.example.com");
  EXPECT_EQ(target.port, 8443);
  EXPECT_TRUE(target.tls);
  EXPECT_EQ(target.origin(), "https://hooks.example.com:8443");
}

struct Good {
  const char* url;
  const char* origin;
  const char* sent;
};

class GoodUrl : public ::testing::TestWithParam<Good> {};

TEST_P(GoodUrl, IsTaken) {
  const Target target = target_of(GetParam().url);
  EXPECT_EQ(target.origin(), GetParam().origin);
  EXPECT_EQ(target.url, GetParam().sent);
}

INSTANTIATE_TEST_SUITE_P(
    Urls, GoodUrl,
    ::testing::Values(Good{"http://a", "http://a:80", "http://a"},
                      Good{"https://a.example", "https://a.example:443", "https://a.example"},
                      Good{"http://a.example:1/?q", "http://a.example:1", "http://a.example:1/?q"},
                      Good{"http://a.example?q=1", "http://a.example:80", "http://a.example?q=1"},
                      Good{"http://a.example./x", "http://a.example:80", "http://a.example./x"},
                      Good{"http://a.example/x#y#z", "http://a.example:80", "http://a.example/x"},
                      Good{"http://a_b.example/.././x//y", "http://a_b.example:80",
                           "http://a_b.example/.././x//y"},
                      Good{"http://a.example/@x:y", "http://a.example:80", "http://a.example/@x:y"},
                      Good{"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example:80",
                           "http://xn--bcher-kva.example/"},
                      Good{"http://127.0.0.1:8080/", "http://127.0.0.1:8080", "http://127.0.0.1:8080/"},
                      Good{"http://2130706433/", "http://127.0.0.1:80", "http://2130706433/"},
                      Good{"http://0x7f.1/", "http://127.0.0.1:80", "http://0x7f.1/"},
                      Good{"http://0177.0.0.1/", "http://127.0.0.1:80", "http://0177.0.0.1/"},
                      Good{"http://127.0.0.1./", "http://127.0.0.1:80", "http://127.0.0.1./"},
                      Good{"http://[::1]:81/", "http://[::1]:81", "http://[::1]:81/"},
                      Good{"http://[::FFFF:10.0.0.1]/", "http://10.0.0.1:80", "http://[::FFFF:10.0.0.1]/"}));

struct Bad {
  const char* url;
  const char* why;
};

class BadUrl : public ::testing::TestWithParam<Bad> {};

TEST_P(BadUrl, IsRefusedWithItsReason) {
  const auto target = parse_target(GetParam().url);
  ASSERT_FALSE(target) << GetParam().url;
  EXPECT_EQ(target.error().code, Code::kInvalid);
  EXPECT_EQ(target.error().component, Component::kCallback);
  EXPECT_EQ(target.error().reason, "bad_callback_url");
  EXPECT_THAT(target.error().detail, HasSubstr(GetParam().why)) << GetParam().url;
}

INSTANTIATE_TEST_SUITE_P(
    Urls, BadUrl,
    ::testing::Values(
        Bad{"", "empty"}, Bad{"#x", "fragment"}, Bad{"a.example", "http://"}, Bad{"/x", "http://"},
        Bad{"//a.example/x", "http://"}, Bad{"ftp://a.example", "http://"},
        Bad{"file:///etc/passwd", "http://"}, Bad{"gopher://a", "http://"}, Bad{"http:a.example", "http://"},
        Bad{"http:/a.example", "http://"}, Bad{"http://", "no host"}, Bad{"http:///x", "no host"},
        Bad{"http://:80/", "no host"}, Bad{"http://?x", "no host"}, Bad{"http://u@a.example", "user name"},
        Bad{"http://u:p@a.example", "user name"}, Bad{"http://@a.example", "user name"},
        Bad{"http://a.example:0/", "port"}, Bad{"http://a.example:65536/", "ort"},
        Bad{"http://a.example:x/", "ort"}, Bad{"http://a.example:80:80/", "ort"}, Bad{"http://a b/", "space"},
        Bad{"http://a.example/x y", "space"}, Bad{" http://a.example", "space"},
        Bad{"http://a.example/\r\nX: y", "0x0d"}, Bad{"http://a.example/%zz", "hexadecimal"},
        Bad{"http://a.example/%2", "hexadecimal"}, Bad{"http://a.example\\@b", "'\\'"},
        Bad{"http://a.example/<x>", "'<'"},
        Bad{"http://b\xc3\xbc"
            "cher.example",
            "xn--"},
        Bad{"http://%31%32%37.0.0.1/", "percent-encoded"}, Bad{"http://a..example/", "host name"},
        Bad{"http://a,b/", ""}, Bad{"http://1.2.3.4.5/", "IP address"},
        Bad{"http://256.1.1.1/", "IP address"}, Bad{"http://a.0x7f/", "IP address"}, Bad{"http://[::1/", ""},
        Bad{"http://[::g]/", ""}, Bad{"http://[fe80::1%25eth0]/", "percent-encoded"},
        Bad{"http://[1.2.3.4]/", ""}, Bad{"http://a.example/[x]", "'['"}));

TEST(TargetTest, TheLengthIsBounded) {
  const std::string start = "http://a.example/";
  EXPECT_TRUE(parse_target(start + std::string(kMaxUrlLength - start.size(), 'x')));
  EXPECT_FALSE(parse_target(start + std::string(kMaxUrlLength - start.size() + 1, 'x')));
  EXPECT_FALSE(parse_target("http://" + std::string(64, 'a') + ".example"));
  EXPECT_FALSE(parse_target(std::string_view("http://a.example/\0x", 19)));
}

TEST(TargetTest, RedirectsResolveAgainstWhereTheyCameFrom) {
  const Target from = target_of("http://a.example:81/x/y?q");
  EXPECT_EQ(resolve_redirect(from, "/z")->url, "http://a.example:81/z");
  EXPECT_EQ(resolve_redirect(from, "z?r")->url, "http://a.example:81/x/z?r");
  EXPECT_EQ(resolve_redirect(from, "//b.example/z")->origin(), "http://b.example:80");
  EXPECT_EQ(resolve_redirect(from, "https://b.example/z")->origin(), "https://b.example:443");
  for (const char* location :
       {"", "ftp://a.example/", "http://u@a.example/", "javascript:alert(1)", "/\x01"}) {
    const auto target = resolve_redirect(from, location);
    EXPECT_FALSE(target) << location << " " << (target ? target->url : "");
  }
}

TEST(TargetTest, NoRedirectFromHttpsToHttp) {
  const auto target = resolve_redirect(target_of("https://a.example/"), "http://a.example/");
  ASSERT_FALSE(target);
  EXPECT_THAT(target.error().detail, HasSubstr("from https to http"));
}

TEST(CheckLiteralTest, RefusesEverySpellingOfAForbiddenAddress) {
  const AllowList none;
  for (const char* url :
       {"http://127.0.0.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.1/", "http://127.1/",
        "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://0/",
        "http://169.254.169.254/latest/meta-data", "http://10.0.0.1./", "http://[fd00::1]/",
        "http://localhost/", "http://LOCALHOST./", "http://a.localhost/"}) {
    const auto checked = check_literal(target_of(url), {&none, nullptr});
    ASSERT_FALSE(checked) << url;
    EXPECT_EQ(checked.error().reason, "bad_callback_url");
    EXPECT_EQ(checked.error().code, Code::kInvalid);
    EXPECT_THAT(checked.error().detail, HasSubstr("--callback-allow"));
  }
  for (const char* url :
       {"http://8.8.8.8/", "http://[2606:4700::1111]/", "http://a.example/", "http://notlocalhost/"}) {
    EXPECT_TRUE(check_literal(target_of(url), {&none})) << url;
  }
}

TEST(CheckLiteralTest, OneOfTheListsIsEnough) {
  const AllowList loopback = list_of({"127.0.0.0/8"});
  const AllowList name = list_of({"localhost"});
  const AllowList none;
  EXPECT_TRUE(check_literal(target_of("http://0x7f.1/"), {&none, &loopback}));
  EXPECT_TRUE(check_literal(target_of("http://[::ffff:127.0.0.1]/"), {&loopback, &none}));
  EXPECT_TRUE(check_literal(target_of("http://localhost/"), {&loopback}));
  EXPECT_TRUE(check_literal(target_of("http://localhost/"), {&name}));
  EXPECT_FALSE(check_literal(target_of("http://127.0.0.1/"), {&name}));
  EXPECT_FALSE(check_literal(target_of("http://10.0.0.1/"), {&loopback, &name}));
}

TEST(CheckAddressTest, SaysWhichAddressANameLedTo) {
  const auto checked =
      check_address("rebound.example", parse_ip("169.254.169.254").value_or(IpAddress{}), {});
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().reason, "callback_forbidden");
  EXPECT_THAT(checked.error().detail, HasSubstr("rebound.example is at 169.254.169.254"));
  EXPECT_THAT(checked.error().detail, HasSubstr("cloud metadata"));
  EXPECT_TRUE(check_address("rebound.example", parse_ip("8.8.8.8").value_or(IpAddress{}), {}));
}

}  // namespace
}  // namespace sterna::callback
