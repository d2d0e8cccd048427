// TLS and HTTP/2 against a real server.
#include <gmock/gmock.h>

#include <set>

#include "api/signing_secret.h"
#include "callback/signature.h"
#include "callback/testing/sender_fixture.h"
#include "callback/testing/tls_front.h"

namespace sterna::callback {
namespace {

using ::testing::HasSubstr;
using testing::Received;
using testing::reply_with;
using testing::ScriptedServer;
using testing::TlsFront;

class SenderTlsTest : public testing::SenderTest {
 protected:
  ScriptedServer upstream_{[](const Received&) { return reply_with("200 OK"); }};

  std::string upstream_url() const { return "http://127.0.0.1:" + upstream_.port(); }
  void start_trusting(const TlsFront& front) {
    SenderLimits limits;
    limits.ca_file = front.ca_file();
    limits.resolved = {"good.test:" + front.port() + ":127.0.0.1", "bad.test:" + front.port() + ":127.0.0.1"};
    start(limits);
  }
};

TEST_F(SenderTlsTest, SpeaksHttp2WhereItIsOffered) {
  const TlsFront front("ssl http2", upstream_url());
  start_trusting(front);
  Post post = post_to(front.url("/x?y=1"), std::string(300'000, 'z'));
  post.headers = {{"X-Call-Id", "1"}, {"Content-Type", "image/png"}, {"X-Many", "1"}, {"X-Many", "2"}};
  post.secrets = {api::new_signing_secret()};
  EXPECT_EQ(send(std::move(post)).verdict, Verdict::kDelivered);
  const Received request = upstream_.received().at(0);
  EXPECT_EQ(request.header("x-protocol"), "HTTP/2.0");
  EXPECT_THAT(request.line, HasSubstr("POST /x?y=1 "));
  EXPECT_EQ(request.header("content-type"), "image/png");
  EXPECT_EQ(request.header("content-length"), "300000");
  EXPECT_EQ(request.header("user-agent"), "Sterna");
  EXPECT_EQ(request.header("webhook-id"), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_TRUE(request.body == std::string(300'000, 'z'));
}

TEST_F(SenderTlsTest, ManyPostsShareOneHttp2Connection) {
  const TlsFront front("ssl http2", upstream_url());
  start_trusting(front);
  for (int i = 0; i < 60; ++i) begin(post_to(front.url("/")));
  ASSERT_TRUE(wait_until_ended(60));
  for (const auto& result : results_) EXPECT_EQ(result->verdict, Verdict::kDelivered) << result->detail;
  std::set<std::string> connections;
  for (const Received& request : upstream_.received()) connections.insert(request.header("x-connection"));
  EXPECT_EQ(upstream_.received().size(), 60U);
  EXPECT_EQ(connections.size(), 1U);
}

TEST_F(SenderTlsTest, ASharedConnectionIsNoWayAroundTheGuard) {
  const TlsFront front("ssl http2", upstream_url());
  SenderLimits limits;
  limits.ca_file = front.ca_file();
  // A name leads past the quick look at literal addresses.
  limits.resolved = {"good.test:" + front.port() + ":127.0.0.1"};
  start(limits, {});
  const auto loopback = std::make_shared<const AllowList>(testing::loopback_only());
  for (int i = 0; i < 20; ++i) {
    Post post = post_to(front.url(i % 2 == 0 ? "/allowed" : "/forbidden", "good.test"));
    if (i % 2 == 0) post.allow = loopback;
    begin(std::move(post));
  }
  ASSERT_TRUE(wait_until_ended(20));
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(results_[i]->verdict, i % 2 == 0 ? Verdict::kDelivered : Verdict::kUndeliverable);
  }
  for (const Received& request : upstream_.received()) EXPECT_THAT(request.line, HasSubstr("/allowed"));
}

TEST_F(SenderTlsTest, SpeaksHttp1WhereItIsNot) {
  const TlsFront front("ssl", upstream_url());
  start_trusting(front);
  for (int i = 0; i < 40; ++i) begin(post_to(front.url("/")));
  ASSERT_TRUE(wait_until_ended(40));
  for (const auto& result : results_) EXPECT_EQ(result->verdict, Verdict::kDelivered) << result->detail;
  EXPECT_EQ(upstream_.received().at(0).header("x-protocol"), "HTTP/1.1");
}

TEST_F(SenderTlsTest, TheCertificateMustBeTrusted) {
  const TlsFront front("ssl http2", upstream_url());
  start();  // the system's store does not know it
  const PostResult result = send(post_to(front.url("/")));
  EXPECT_EQ(result.verdict, Verdict::kRetry);
  EXPECT_THAT(result.detail, HasSubstr("TLS certificate was not accepted"));
  EXPECT_THAT(result.detail, ::testing::Not(HasSubstr("/")));
  EXPECT_TRUE(upstream_.received().empty());
}

TEST_F(SenderTlsTest, TheCertificateMustBeForTheHost) {
  const TlsFront front("ssl", upstream_url());
  start_trusting(front);
  EXPECT_EQ(send(post_to(front.url("/", "good.test"))).verdict, Verdict::kDelivered);
  const PostResult result = send(post_to(front.url("/", "bad.test")));
  EXPECT_EQ(result.verdict, Verdict::kRetry);
  EXPECT_THAT(result.detail, HasSubstr("TLS certificate was not accepted"));
}

TEST_F(SenderTlsTest, PlainHttpWhereTlsIsExpectedIsAFailure) {
  const TlsFront front("", upstream_url());
  start();
  const PostResult result = send(post_to(front.url("/")));
  EXPECT_EQ(result.verdict, Verdict::kRetry);
  EXPECT_THAT(result.detail, HasSubstr("TLS"));
}

TEST_F(SenderTlsTest, RedirectsLeadToTlsButNotFromIt) {
  const TlsFront front("ssl http2", upstream_url());
  const ScriptedServer plain(
      [&](const Received&) { return reply_with("308 X", "Location: " + front.url("/up") + "\r\n"); });
  start_trusting(front);
  EXPECT_EQ(send(post_to(plain.url())).verdict, Verdict::kDelivered);
  EXPECT_EQ(upstream_.received().size(), 1U);
  const PostResult result = send(post_to(front.url("/down")));
  EXPECT_EQ(result.verdict, Verdict::kUndeliverable);
  EXPECT_EQ(result.status_code, 307U);
  EXPECT_THAT(result.detail, HasSubstr("from https to http"));
  EXPECT_EQ(upstream_.received().size(), 1U);
}

}  // namespace
}  // namespace sterna::callback
