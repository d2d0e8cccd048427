// The address guard on real connections: names, redirects, connections that are used again.
#include <gmock/gmock.h>

#include <cstdlib>

#include "callback/testing/sender_fixture.h"

namespace sterna::callback {
namespace {

using ::testing::HasSubstr;
using testing::milliseconds;
using testing::Received;
using testing::reply_with;
using testing::ScriptedServer;
using testing::seconds;

class SenderGuardTest : public testing::SenderTest {
 protected:
  ScriptedServer server_{[](const Received&) { return reply_with("200 OK"); }};

  static std::shared_ptr<const AllowList> list_of(const std::vector<std::string>& entries) {
    return std::make_shared<const AllowList>(*AllowList::parse(entries));
  }
  // Names lead to addresses without a name server.
  SenderLimits limits_with(std::string_view name, std::string_view addresses) const {
    SenderLimits limits;
    limits.resolved = {std::string(name) + ":" + server_.port() + ":" + std::string(addresses)};
    return limits;
  }
  std::string url_of(std::string_view name) const {
    return "http://" + std::string(name) + ":" + server_.port() + "/";
  }
};

TEST_F(SenderGuardTest, LoopbackIsForbiddenUnlessAllowed) {
  start({}, {});
  const PostResult result = send(post_to(server_.url()));
  EXPECT_EQ(result.verdict, Verdict::kUndeliverable);
  EXPECT_TRUE(result.attempted);
  EXPECT_THAT(result.detail, HasSubstr("127.0.0.1 is no public address (loopback)"));
  EXPECT_THAT(result.detail, HasSubstr("--callback-allow 127.0.0.1"));
  EXPECT_EQ(server_.connections(), 0U);
}

TEST_F(SenderGuardTest, TheSpacesListCountsToo) {
  start({}, {});
  Post post = post_to(server_.url());
  post.allow = list_of({"127.0.0.1"});
  EXPECT_EQ(send(std::move(post)).verdict, Verdict::kDelivered);
}

TEST_F(SenderGuardTest, ANameIsCheckedByWhereItLeads) {
  start(limits_with("rebound.test", "127.0.0.1"), {});
  const PostResult result = send(post_to(url_of("rebound.test")));
  EXPECT_EQ(result.verdict, Verdict::kUndeliverable);
  EXPECT_THAT(result.detail, HasSubstr("rebound.test is at 127.0.0.1"));
  Post post = post_to(url_of("rebound.test"));
  post.allow = list_of({"*.test"});
  EXPECT_EQ(send(std::move(post)).verdict, Verdict::kDelivered);
}

TEST_F(SenderGuardTest, OnlyTheAllowedAddressesOfANameAreUsed) {
  start(limits_with("mixed.test", "10.255.255.1,127.0.0.1"));
  const auto began = clock_.now();
  EXPECT_EQ(send(post_to(url_of("mixed.test"))).verdict, Verdict::kDelivered);
  EXPECT_LT(clock_.now() - began, seconds(4)) << "the forbidden address was tried";
}

TEST_F(SenderGuardTest, AForbiddenAddressOfTheOtherFamilyDoesNotDelay) {
  start(limits_with("both.test", "[::1],127.0.0.1"));
  const auto began = clock_.now();
  EXPECT_EQ(send(post_to(url_of("both.test"))).verdict, Verdict::kDelivered);
  EXPECT_LT(clock_.now() - began, milliseconds(1500));
  EXPECT_EQ(send(post_to(url_of("localhost"))).verdict, Verdict::kDelivered);
}

TEST_F(SenderGuardTest, AllAddressesForbidden) {
  start(limits_with("inside.test", "10.255.255.1,169.254.169.254,[::1],[fd00::1]"));
  const PostResult result = send(post_to(url_of("inside.test")));
  EXPECT_EQ(result.verdict, Verdict::kUndeliverable);
  EXPECT_THAT(result.detail, HasSubstr("is no public address"));
}

TEST_F(SenderGuardTest, OddSpellingsOfLoopback) {
  start({}, {});
  for (const char* host : {"2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "0",
                           "localhost", "127.0.0.1."}) {
    EXPECT_EQ(send(post_to(url_of(host))).verdict, Verdict::kUndeliverable) << host;
  }
  EXPECT_EQ(server_.connections(), 0U);
}

TEST_F(SenderGuardTest, AnotherSpacesConnectionIsNoWayAroundTheGuard) {
  start(limits_with("shared.test", "127.0.0.1"), {});
  for (int round = 0; round < 2; ++round) {
    Post allowed = post_to(url_of("shared.test"));
    allowed.allow = list_of({"127.0.0.0/8"});
    EXPECT_EQ(send(std::move(allowed)).verdict, Verdict::kDelivered);
    const PostResult result = send(post_to(url_of("shared.test")));
    EXPECT_EQ(result.verdict, Verdict::kUndeliverable);
    EXPECT_THAT(result.detail, HasSubstr("--callback-allow"));
  }
  EXPECT_EQ(server_.received().size(), 2U);
}

TEST_F(SenderGuardTest, ARedirectIsCheckedLikeTheFirstHop) {
  ScriptedServer redirecting([&](const Received&) {
    return reply_with("307 Temporary Redirect", "Location: http://inside.test:" + server_.port() + "/\r\n");
  });
  start(limits_with("inside.test", "10.255.255.1"));
  const PostResult result = send(post_to(redirecting.url()));
  EXPECT_EQ(result.verdict, Verdict::kUndeliverable);
  EXPECT_THAT(result.detail, HasSubstr("inside.test is at 10.255.255.1"));
}

TEST_F(SenderGuardTest, TheEnvironmentsProxyIsNotUsed) {
  ScriptedServer proxy([](const Received&) { return reply_with("200 OK"); });
  ASSERT_EQ(setenv("http_proxy", proxy.url().c_str(), 1), 0);
  start();
  EXPECT_EQ(send(post_to(server_.url())).verdict, Verdict::kDelivered);
  unsetenv("http_proxy");
  EXPECT_EQ(proxy.connections(), 0U);
  EXPECT_EQ(server_.received().size(), 1U);
}

TEST_F(SenderGuardTest, OtherProtocolsAndMalformedUrlsAreNotSent) {
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "http://", ""}) {
    const PostResult result = send(post_to(url));
    EXPECT_EQ(result.verdict, Verdict::kUndeliverable) << url;
    EXPECT_FALSE(result.detail.empty());
  }
}

}  // namespace
}  // namespace sterna::callback
