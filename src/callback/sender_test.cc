// What is sent, and what comes of what is answered.
#include "callback/sender.h"

#include <gmock/gmock.h>

#include "api/signing_secret.h"
#include "callback/signature.h"
#include "callback/testing/sender_fixture.h"

namespace sterna::callback {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using testing::Received;
using testing::Reply;
using testing::reply_with;
using testing::ScriptedServer;
using testing::seconds;
using testing::SenderTest;

const ScriptedServer::Script kOk = [](const Received&) { return reply_with("200 OK"); };

// Reads from memory; fails from `broken_at` on.
class MemorySource final : public BodySource {
 public:
  explicit MemorySource(std::string body, std::uint64_t broken_at = ~0ULL)
      : body_(std::move(body)), broken_at_(broken_at) {}
  std::uint64_t size() const override { return body_.size(); }
  Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
    if (offset >= broken_at_) return fail_errno(Component::kQueue, "read", EIO);
    return body_.copy(into.data(), into.size(), offset);
  }

 private:
  std::string body_;
  std::uint64_t broken_at_;
};

std::string large_text() {
  std::string text;
  for (int i = 0; text.size() < (5U << 20); ++i) text += std::to_string(i) + ",";
  return text;
}

bool is_signed(const Received& request, const std::string& secret) {
  const std::string id = request.header("webhook-id");
  const std::string timestamp = request.header("webhook-timestamp");
  const std::string signature = request.header("webhook-signature");
  return verify(secret, {id, timestamp, signature}, request.body, SystemClock().wall()).has_value();
}

TEST_F(SenderTest, SendsWhatItIsGivenAndNothingElse) {
  ScriptedServer server(kOk);
  Post post = post_to(server.url("/a/../b%20c?x=1&x=2"), std::string("\0\r\n\xff", 4));
  post.headers = {{"X-Call-Id", "1"},
                  {"Set-Cookie", "a=1"},
                  {"Set-Cookie", "b=2"},
                  {"X-Empty", ""},
                  {"Content-Type", "image/png"}};
  const PostResult result = send(std::move(post));
  EXPECT_EQ(result.verdict, Verdict::kDelivered);
  EXPECT_EQ(result.status_code, 200U);
  EXPECT_TRUE(result.attempted);
  EXPECT_EQ(result.detail, "");
  ASSERT_EQ(server.received().size(), 1U);
  const Received request = server.received()[0];
  EXPECT_EQ(request.line, "POST /a/../b%20c?x=1&x=2 HTTP/1.1");
  EXPECT_EQ(request.body, std::string("\0\r\n\xff", 4));
  EXPECT_THAT(request.headers,
              ::testing::UnorderedElementsAre(
                  Pair("Host", "127.0.0.1:" + server.port()), Pair("Content-Length", "4"),
                  Pair("X-Call-Id", "1"), Pair("Set-Cookie", "a=1"), Pair("Set-Cookie", "b=2"),
                  Pair("X-Empty", ""), Pair("Content-Type", "image/png"), Pair("User-Agent", "Sterna")));
}

TEST_F(SenderTest, NoTypeIsInventedAndAnEmptyBodyIsSentAsOne) {
  ScriptedServer server(kOk);
  EXPECT_EQ(send(post_to(server.url(), "")).verdict, Verdict::kDelivered);
  const Received request = server.received().at(0);
  EXPECT_THAT(request.headers,
              ::testing::UnorderedElementsAre(Pair("Host", "127.0.0.1:" + server.port()),
                                              Pair("Content-Length", "0"), Pair("User-Agent", "Sterna")));
}

TEST_F(SenderTest, HeadersOfTheConnectionAndBrokenOnesStayOut) {
  ScriptedServer server(kOk);
  Post post = post_to(server.url());
  post.headers = {{"Host", "evil"},
                  {"Content-Length", "99"},
                  {"Transfer-Encoding", "chunked"},
                  {"Connection", "close"},
                  {"Expect", "100-continue"},
                  {"X-A", "1\r\nX-B: 2"},
                  {"X-C\r\nX-D", "1"},
                  {"", "1"},
                  {"webhook-id", "forged"},
                  {"User-Agent", "mine"}};
  EXPECT_EQ(send(std::move(post)).verdict, Verdict::kDelivered);
  EXPECT_THAT(server.received().at(0).headers,
              ::testing::UnorderedElementsAre(Pair("Host", "127.0.0.1:" + server.port()),
                                              Pair("Content-Length", "5"), Pair("User-Agent", "mine")));
}

TEST_F(SenderTest, EverySecretSigns) {
  ScriptedServer server(kOk);
  Post post = post_to(server.url(), std::string(100'000, 'x'));
  post.secrets = {api::new_signing_secret(), api::new_signing_secret()};
  const auto secrets = post.secrets;
  EXPECT_EQ(send(std::move(post)).verdict, Verdict::kDelivered);
  const Received request = server.received().at(0);
  EXPECT_EQ(request.header("webhook-id"), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
  for (const auto& secret : secrets) EXPECT_TRUE(is_signed(request, secret));
  EXPECT_FALSE(is_signed(request, api::new_signing_secret()));
}

TEST_F(SenderTest, ABrokenSecretIsNotSilentlyLeftOut) {
  ScriptedServer server(kOk);
  Post post = post_to(server.url());
  post.secrets = {"nonsense"};
  const PostResult result = send(std::move(post));
  EXPECT_EQ(result.verdict, Verdict::kUndeliverable);
  EXPECT_THAT(result.detail, HasSubstr("signing secret"));
  EXPECT_EQ(server.connections(), 0U);
}

TEST_F(SenderTest, ConnectionsAreUsedAgain) {
  ScriptedServer server(kOk);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(send(post_to(server.url())).verdict, Verdict::kDelivered);
  EXPECT_EQ(server.received().size(), 5U);
  EXPECT_EQ(server.connections(), 1U);
}

TEST_F(SenderTest, AConnectionThatTheReceiverClosedIsReplaced) {
  ScriptedServer server([](const Received&) {
    Reply reply = reply_with("200 OK");
    reply.then = Reply::Then::kClose;
    return reply;
  });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(send(post_to(server.url())).verdict, Verdict::kDelivered);
  EXPECT_EQ(server.connections(), 5U);
}

TEST_F(SenderTest, LargeBodiesAreStreamedAndSigned) {
  ScriptedServer server(kOk);
  const std::string text = large_text();
  Post post = post_to(server.url(), "not this");
  post.large_body = std::make_unique<MemorySource>(text);
  post.secrets = {api::new_signing_secret()};
  const std::string secret = post.secrets[0];
  EXPECT_EQ(send(std::move(post)).verdict, Verdict::kDelivered);
  const Received request = server.received().at(0);
  EXPECT_TRUE(request.body == text);
  EXPECT_EQ(request.header("content-length"), std::to_string(text.size()));
  EXPECT_EQ(request.header("expect"), "");
  EXPECT_TRUE(is_signed(request, secret));
}

TEST_F(SenderTest, ALargeBodyThatCannotBeReadCostsNoAttempt) {
  ScriptedServer server(kOk);
  for (const bool with_secret : {false, true}) {
    Post post = post_to(server.url());
    post.large_body = std::make_unique<MemorySource>(large_text(), 300'000);
    if (with_secret) post.secrets = {api::new_signing_secret()};
    const PostResult result = send(std::move(post));
    EXPECT_FALSE(result.attempted);
    EXPECT_EQ(result.verdict, Verdict::kRetry);
    EXPECT_THAT(result.detail, HasSubstr("stored answer"));
  }
  EXPECT_EQ(server.received().size(), 0U);
}

TEST_F(SenderTest, AnswersBecomeVerdicts) {
  ScriptedServer server([](const Received& request) {
    const std::string status = request.line.substr(6, 3);
    return reply_with(status + " X", "Retry-After: 7\r\nLocation: /200\r\n", "ignored");
  });
  const auto verdict_of = [&](const char* status) {
    return send(post_to(server.url("/" + std::string(status))));
  };
  EXPECT_EQ(verdict_of("204").verdict, Verdict::kDelivered);
  const PostResult busy = verdict_of("503");
  EXPECT_EQ(busy.verdict, Verdict::kRetry);
  EXPECT_EQ(busy.status_code, 503U);
  EXPECT_EQ(busy.retry_after, seconds(7));
  EXPECT_EQ(busy.detail, "the receiver answered 503");
  EXPECT_EQ(verdict_of("429").retry_after, seconds(7));
  const PostResult gone = verdict_of("410");
  EXPECT_EQ(gone.verdict, Verdict::kUndeliverable);
  EXPECT_EQ(gone.retry_after, std::nullopt);
  const PostResult moved = verdict_of("302");
  EXPECT_EQ(moved.verdict, Verdict::kUndeliverable);
  EXPECT_THAT(moved.detail, HasSubstr("redirected with 302"));
  EXPECT_EQ(server.received().size(), 5U);
}

TEST_F(SenderTest, InterimAnswersDoNotCount) {
  ScriptedServer server([](const Received&) {
    Reply reply = reply_with("200 OK");
    reply.bytes.insert(0, "HTTP/1.1 103 Early Hints\r\nRetry-After: 5\r\n\r\n");
    return reply;
  });
  const PostResult result = send(post_to(server.url()));
  EXPECT_EQ(result.verdict, Verdict::kDelivered);
  EXPECT_EQ(result.status_code, 200U);
}

TEST_F(SenderTest, RedirectsKeepMethodBodyAndHeaders) {
  ScriptedServer server([](const Received& request) {
    if (request.line.contains("/end")) return reply_with("200 OK");
    return request.line.contains("/start") ? reply_with("307 X", "Location: middle?q\r\n", "body")
                                           : reply_with("308 X", "Location: /end\r\n");
  });
  Post post = post_to(server.url("/x/start"), "payload");
  post.headers = {{"Authorization", "Bearer x"}, {"X-Call-Id", "1"}};
  post.secrets = {api::new_signing_secret()};
  EXPECT_EQ(send(std::move(post)).verdict, Verdict::kDelivered);
  const auto requests = server.received();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[1].line, "POST /x/middle?q HTTP/1.1");
  EXPECT_EQ(requests[2].line, "POST /end HTTP/1.1");
  for (const Received& request : requests) {
    EXPECT_EQ(request.body, "payload");
    EXPECT_EQ(request.headers, requests[0].headers);
  }
}

TEST_F(SenderTest, CredentialsDoNotFollowToAnotherOrigin) {
  ScriptedServer other(kOk);
  ScriptedServer server(
      [&](const Received&) { return reply_with("307 X", "Location: " + other.url("/there") + "\r\n"); });
  Post post = post_to(server.url());
  post.headers = {{"Authorization", "Bearer x"}, {"Cookie", "a"}, {"X-Call-Id", "1"}};
  EXPECT_EQ(send(std::move(post)).verdict, Verdict::kDelivered);
  EXPECT_EQ(server.received().at(0).header("authorization"), "Bearer x");
  const Received request = other.received().at(0);
  EXPECT_EQ(request.line, "POST /there HTTP/1.1");
  EXPECT_EQ(request.header("authorization"), "");
  EXPECT_EQ(request.header("cookie"), "");
  EXPECT_EQ(request.header("x-call-id"), "1");
}

TEST_F(SenderTest, RedirectsEnd) {
  ScriptedServer server([](const Received&) { return reply_with("308 X", "Location: /again\r\n"); });
  const PostResult result = send(post_to(server.url()));
  EXPECT_EQ(result.verdict, Verdict::kUndeliverable);
  EXPECT_EQ(result.status_code, 308U);
  EXPECT_THAT(result.detail, HasSubstr("more than 3 times"));
  EXPECT_EQ(server.received().size(), 4U);
}

TEST_F(SenderTest, ARedirectThatLeadsNowhere) {
  ScriptedServer server([](const Received& request) {
    return reply_with("307 X", request.line.contains("/ftp") ? "Location: ftp://127.0.0.1/\r\n" : "");
  });
  EXPECT_EQ(send(post_to(server.url("/none"))).verdict, Verdict::kUndeliverable);
  EXPECT_EQ(send(post_to(server.url("/ftp"))).verdict, Verdict::kUndeliverable);
}

TEST_F(SenderTest, LargeBodiesFollowRedirects) {
  ScriptedServer server([](const Received& request) {
    return request.line.contains("/end") ? reply_with("200 OK") : reply_with("307 X", "Location: /end\r\n");
  });
  const std::string text = large_text();
  Post post = post_to(server.url());
  post.large_body = std::make_unique<MemorySource>(text);
  EXPECT_EQ(send(std::move(post)).verdict, Verdict::kDelivered);
  ASSERT_EQ(server.received().size(), 2U);
  EXPECT_TRUE(server.received()[1].body == text);
}

TEST_F(SenderTest, ManyPostsAtOnce) {
  ScriptedServer server(kOk);
  start();
  for (int i = 0; i < 120; ++i) begin(post_to(server.url("/" + std::to_string(i))));
  ASSERT_TRUE(wait_until_ended(120));
  for (const auto& result : results_) EXPECT_EQ(result->verdict, Verdict::kDelivered);
  EXPECT_EQ(server.received().size(), 120U);
  EXPECT_LE(server.connections(), 32U);
}

}  // namespace
}  // namespace sterna::callback
