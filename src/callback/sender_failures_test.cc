// Receivers that are slow, gone or out of their mind, and what that means for the others.
#include <gmock/gmock.h>

#include "callback/testing/sender_fixture.h"

namespace sterna::callback {
namespace {

using ::testing::HasSubstr;
using testing::milliseconds;
using testing::Received;
using testing::Reply;
using testing::reply_with;
using testing::ScriptedServer;
using testing::seconds;
using testing::SenderTest;

const ScriptedServer::Script kOk = [](const Received&) { return reply_with("200 OK"); };

TEST_F(SenderTest, NobodyListens) {
  std::string url;
  {
    const ScriptedServer gone(kOk);
    url = gone.url();
  }
  const PostResult result = send(post_to(url));
  EXPECT_EQ(result.verdict, Verdict::kRetry);
  EXPECT_EQ(result.status_code, std::nullopt);
  EXPECT_THAT(result.detail, HasSubstr("no connection to the receiver"));
}

struct Misbehaviour {
  const char* name;
  Reply reply;
  Verdict verdict;
  const char* detail;
};

class MisbehavingReceiver : public SenderTest, public ::testing::WithParamInterface<Misbehaviour> {};

TEST_P(MisbehavingReceiver, EndsWithinTheDeadline) {
  const Misbehaviour& misbehaviour = GetParam();
  ScriptedServer server([&](const Received&) { return misbehaviour.reply; });
  SenderLimits limits;
  limits.total_timeout = milliseconds(500);
  start(limits);
  const auto began = clock_.now();
  const PostResult result = send(post_to(server.url()));
  EXPECT_EQ(result.verdict, misbehaviour.verdict) << result.detail;
  EXPECT_THAT(result.detail, HasSubstr(misbehaviour.detail));
  EXPECT_LT(clock_.now() - began, seconds(5));
  EXPECT_TRUE(result.attempted);
}

constexpr auto kKeep = Reply::Then::kKeep;
constexpr auto kClose = Reply::Then::kClose;

INSTANTIATE_TEST_SUITE_P(
    Receivers, MisbehavingReceiver,
    ::testing::Values(
        Misbehaviour{"Silent", {"", kKeep, ""}, Verdict::kRetry, "did not answer in time"},
        Misbehaviour{"ClosesAtOnce", {"", kClose, ""}, Verdict::kRetry, "closed the connection"},
        Misbehaviour{"ClosesInTheHead", {"HTTP/1.1 200 OK\r\nX: y", kClose, ""}, Verdict::kRetry, ""},
        Misbehaviour{"Nonsense", {"SSH-2.0-OpenSSH\r\n\r\n", kClose, ""}, Verdict::kRetry, "not HTTP"},
        Misbehaviour{"NonsenseStatus", {"HTTP/1.1 99999 X\r\n\r\n", kClose, ""}, Verdict::kRetry, ""},
        Misbehaviour{"TricklesTheHead",
                     {"HTTP/1.1 200 OK\r\nX: ", kKeep, "y"},
                     Verdict::kRetry,
                     "did not answer in time"},
        Misbehaviour{"EndlessHead",
                     {"HTTP/1.1 200 OK\r\n", kKeep, "X: " + std::string(8000, 'y') + "\r\n"},
                     Verdict::kRetry,
                     "head of the receiver's answer is larger than 64 KiB"},
        Misbehaviour{"EndlessLineOfTheHead",
                     {"HTTP/1.1 200 OK\r\nX: ", kKeep, std::string(1 << 20, 'y')},
                     Verdict::kRetry,
                     "head of the receiver's answer is larger than 64 KiB"},
        Misbehaviour{"EndlessInterim",
                     {"", kKeep, "HTTP/1.1 103 X\r\nX: " + std::string(8000, 'y') + "\r\n\r\n"},
                     Verdict::kRetry,
                     ""},
        Misbehaviour{"TricklesTheBody", {"HTTP/1.1 200 OK\r\n\r\n", kKeep, "y"}, Verdict::kDelivered, ""},
        Misbehaviour{"EndlessBody",
                     {"HTTP/1.1 200 OK\r\n\r\n", kKeep, std::string(100'000, 'y')},
                     Verdict::kDelivered,
                     ""},
        Misbehaviour{"CutBody",
                     {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", kClose, ""},
                     Verdict::kDelivered,
                     ""},
        Misbehaviour{"BrokenChunks",
                     {"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", kClose, ""},
                     Verdict::kRetry,
                     "answered 500"}),
    [](const auto& param) { return param.param.name; });

// The receiver has 30 s for all of its answer; the tests wait less than that.
TEST_F(SenderTest, TheHeadOfTheAnswerDecides) {
  ScriptedServer server([](const Received& request) {
    if (request.body == "busy")
      return Reply{"HTTP/1.1 503 X\r\nRetry-After: 9\r\nContent-Length: 5\r\n\r\n", kKeep, ""};
    return Reply{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", kKeep, ""};
  });
  const PostResult taken = send(post_to(server.url()));
  EXPECT_EQ(taken.verdict, Verdict::kDelivered) << taken.detail;
  EXPECT_EQ(taken.status_code, 200U);
  EXPECT_EQ(taken.detail, "");
  const PostResult busy = send(post_to(server.url(), "busy"));
  EXPECT_EQ(busy.verdict, Verdict::kRetry);
  EXPECT_EQ(busy.status_code, 503U);
  EXPECT_EQ(busy.retry_after, seconds(9));
  EXPECT_EQ(server.received().size(), 2U);
}

TEST_F(SenderTest, TheHeadOfARedirectDecides) {
  ScriptedServer server([](const Received& request) {
    if (request.line.starts_with("POST /there ")) return reply_with("200 OK");
    return Reply{"HTTP/1.1 307 X\r\nLocation: /there\r\nContent-Length: 5\r\n\r\n", kKeep, ""};
  });
  EXPECT_EQ(send(post_to(server.url())).verdict, Verdict::kDelivered);
  ASSERT_EQ(server.received().size(), 2U);
  EXPECT_EQ(server.received()[1].body, "hello");
}

TEST_F(SenderTest, AnInterimAnswerDoesNotDecide) {
  ScriptedServer server([](const Received&) { return Reply{"HTTP/1.1 103 X\r\n\r\n", kKeep, ""}; });
  SenderLimits limits;
  limits.answer_body_wait = milliseconds(1);
  limits.total_timeout = milliseconds(500);
  start(limits);
  EXPECT_THAT(send(post_to(server.url())).detail, HasSubstr("did not answer in time"));
}

TEST_F(SenderTest, WhatIsTakenBeforeItIsSentIsSentToItsEnd) {
  ScriptedServer server([](const Received&) { return Reply{"HTTP/1.1 200 OK\r\n\r\n", kKeep, ""}; },
                        ScriptedServer::Reads::kHeadsFirst);
  SenderLimits limits;
  limits.answer_body_wait = milliseconds(20);
  start(limits);
  const std::string body(32 << 20, 'x');
  EXPECT_EQ(send(post_to(server.url(), body)).verdict, Verdict::kDelivered);
  const auto deadline = clock_.now() + seconds(20);
  while (server.received().empty() && clock_.now() < deadline) loop_.turn(milliseconds(10));
  ASSERT_EQ(server.received().size(), 1U);
  EXPECT_EQ(server.received()[0].body.size(), body.size());
}

TEST_F(SenderTest, AnAnswerBeforeTheEndOfTheBodyCounts) {
  ScriptedServer server([](const Received&) { return reply_with("413 X"); }, ScriptedServer::Reads::kHeads);
  Post post = post_to(server.url(), std::string(8 << 20, 'x'));
  const PostResult result = send(std::move(post));
  EXPECT_EQ(result.verdict, Verdict::kUndeliverable) << result.detail;
  EXPECT_EQ(result.status_code, 413U);
}

TEST_F(SenderTest, ADeadTargetRests) {
  std::string url;
  {
    const ScriptedServer gone(kOk);
    url = gone.url();
  }
  SenderLimits limits;
  limits.first_rest = seconds(60);
  limits.longest_rest = seconds(60);
  start(limits);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(send(post_to(url)).attempted);
  const PostResult result = send(post_to(url));
  EXPECT_FALSE(result.attempted);
  EXPECT_EQ(result.verdict, Verdict::kRetry);
  EXPECT_GT(result.retry_after, seconds(50));
  EXPECT_THAT(result.detail, HasSubstr("rests after 5 failures"));
}

TEST_F(SenderTest, ASlowTargetDoesNotHoldUpTheOthers) {
  ScriptedServer slow([](const Received&) { return Reply{}; });
  ScriptedServer quick(kOk);
  SenderLimits limits;
  limits.max_posts = 64;
  limits.max_transfers_per_target = 8;
  start(limits);
  for (int i = 0; i < 200; ++i) begin(post_to(slow.url()));
  // Half of the places are the slow one's, the other posts come back at once.
  ASSERT_TRUE(wait_until_ended(168));
  EXPECT_EQ(ended_, 168U);
  for (const auto& result : results_) {
    if (!result) continue;
    EXPECT_FALSE(result->attempted);
    EXPECT_GT(result->retry_after, milliseconds(0));
  }
  const auto began = clock_.now();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(send(post_to(quick.url())).verdict, Verdict::kDelivered);
  EXPECT_LT(clock_.now() - began, seconds(10));
  EXPECT_LE(slow.connections(), 8U);
}

TEST_F(SenderTest, EndsWithPostsUnderWay) {
  ScriptedServer silent([](const Received&) { return Reply{}; });
  start();
  for (int i = 0; i < 10; ++i) begin(post_to(silent.url()));
  const auto deadline = clock_.now() + seconds(10);
  while (silent.received().empty() && clock_.now() < deadline) loop_.turn(milliseconds(10));
  begin(post_to(silent.url()));
  sender_.reset();
  loop_.turn(milliseconds(0));
  EXPECT_EQ(ended_, 0U);
}

}  // namespace
}  // namespace sterna::callback
