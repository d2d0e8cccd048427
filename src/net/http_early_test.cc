// Requests that are begun before their bodies are whole.
#include <vector>

#include "net/testing/http_fixture.h"

namespace sterna::net {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture

constexpr std::string_view kChunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

// Notes how much of the body there was each time that it was told, and answers a refusal with its status.
class BodyNotes final : public BodyObserver {
 public:
  HttpConnection* connection = nullptr;
  std::vector<std::string> seen;
  bool whole = false;
  unsigned refused = 0;
  std::string reason;

  void on_body() override {
    EXPECT_FALSE(whole);
    seen.emplace_back(connection->body().memory());
    whole = connection->body_is_whole();
  }
  void on_body_refused(unsigned status, const Error& error) override {
    refused = status;
    reason = error.reason;
    connection->observe(nullptr);
    connection->begin(status);
    connection->send("refused");
  }
};

class HttpEarlyTest : public HttpTest {
 protected:
  HttpEarlyTest() {
    service_.head = [this](HttpConnection& connection) {
      connection.begin_early();
      return limit_;
    };
    service_.request = [this](HttpConnection& connection) {
      body_.connection = &connection;
      whole_at_once_ = connection.body_is_whole();
      connection.observe(&observer_);
      if (!whole_at_once_) connection.observe_body(&body_);
    };
  }
  // Sends the head of a chunked request, and sees it begun.
  HttpConnection& begin(Client& client) {
    client.send(kChunked);
    EXPECT_TRUE(until([&] { return body_.connection != nullptr; }));
    EXPECT_FALSE(whole_at_once_);
    return *body_.connection;
  }
  void answer(HttpConnection& connection, std::string_view text) {
    connection.begin(200);
    connection.send(text);
  }
  bool seen(std::string_view text) {
    return until([&] { return !body_.seen.empty() && body_.seen.back() == text; });
  }

  std::uint64_t limit_ = 1000;
  bool whole_at_once_ = false;
  BodyNotes body_;
  TestObserver observer_;
};

TEST_F(HttpEarlyTest, PartsAreToldAsTheyCome) {
  Client client(*this);
  HttpConnection& connection = begin(client);
  EXPECT_EQ(connection.body().size(), 0U);
  client.send("3\r\none\r\n");
  ASSERT_TRUE(seen("one"));
  client.send("1\r\n,\r\n");
  ASSERT_TRUE(seen("one,"));
  EXPECT_FALSE(body_.whole);
  client.send("0\r\n\r\n");
  ASSERT_TRUE(until([&] { return body_.whole; }));
  EXPECT_EQ(service_.requests, 1);
  answer(connection, "thanks");
  EXPECT_TRUE(ends_with(client, "thanks"));
}

TEST_F(HttpEarlyTest, WhatComesWithTheHeadIsThereFromTheBeginning) {
  Client client(*this);
  client.send(std::string(kChunked) + "3\r\none\r\n");
  ASSERT_TRUE(until([&] { return body_.connection != nullptr; }));
  EXPECT_EQ(body_.connection->body().memory(), "one");
}

TEST_F(HttpEarlyTest, BodyThatComesAsAWholeIsOneRequest) {
  Client client(*this);
  client.send(std::string(kChunked) + "3\r\none\r\n0\r\n\r\n");
  ASSERT_TRUE(until([&] { return body_.connection != nullptr; }));
  EXPECT_TRUE(whole_at_once_);
  answer(*body_.connection, "thanks");
  EXPECT_TRUE(ends_with(client, "thanks"));
  EXPECT_TRUE(body_.seen.empty());
}

TEST_F(HttpEarlyTest, OthersWaitForTheWholeBody) {
  service_.head = [](HttpConnection&) { return 1000; };
  Client client(*this);
  client.send(kChunked);
  client.send("3\r\none\r\n");
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_EQ(service_.requests, 0);
  client.send("0\r\n\r\n");
  ASSERT_TRUE(until([&] { return service_.requests == 1; }));
  EXPECT_TRUE(whole_at_once_);
  answer(*body_.connection, "thanks");
  EXPECT_TRUE(ends_with(client, "thanks"));
}

TEST_F(HttpEarlyTest, AskedForTheBodyBeforeItComes) {
  Client client(*this);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  ASSERT_TRUE(ends_with(client, "HTTP/1.1 100 Continue\r\n\r\n"));
  EXPECT_EQ(service_.requests, 1);
  client.send("one");
  ASSERT_TRUE(until([&] { return body_.whole; }));
  answer(*body_.connection, "thanks");
  EXPECT_TRUE(ends_with(client, "thanks"));
}

TEST_F(HttpEarlyTest, TooLongALengthIsRefusedBeforeItBegins) {
  limit_ = 2;
  EXPECT_EQ(refusal("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"), 413);
  EXPECT_EQ(service_.requests, 0);
}

TEST_F(HttpEarlyTest, TooMuchIsToldToWhoObserves) {
  limit_ = 4;
  Client client(*this);
  begin(client);
  client.send("5\r\nfives\r\n");
  EXPECT_TRUE(ends_with(client, "refused"));
  EXPECT_EQ(body_.refused, 413U);
  EXPECT_EQ(service_.refused, 0U);
  EXPECT_FALSE(observer_.gone);
  EXPECT_TRUE(closes(client));
}

TEST_F(HttpEarlyTest, MalformedChunkIsToldToWhoObserves) {
  Client client(*this);
  begin(client);
  client.send("3\r\none\r\n");
  ASSERT_TRUE(seen("one"));
  client.send("x\r\n");
  EXPECT_TRUE(ends_with(client, "refused"));
  EXPECT_EQ(body_.refused, 400U);
  EXPECT_EQ(body_.reason, "bad_request");
  EXPECT_TRUE(closes(client));
}

TEST_F(HttpEarlyTest, SlownessIsToldToWhoObserves) {
  Client client(*this);
  begin(client);
  pass(limits_.body_timeout - seconds(1));
  EXPECT_EQ(body_.refused, 0U);
  pass(seconds(2));
  EXPECT_TRUE(ends_with(client, "refused"));
  EXPECT_EQ(body_.refused, 408U);
}

TEST_F(HttpEarlyTest, ClientThatGoesInTheMidstIsTold) {
  Client client(*this);
  begin(client);
  client.send("3\r\none\r\n");
  ASSERT_TRUE(seen("one"));
  client.close();
  EXPECT_TRUE(until([&] { return observer_.gone; }));
  EXPECT_FALSE(body_.whole);
}

TEST_F(HttpEarlyTest, AnswerIsStreamedWhileTheBodyComes) {
  Client client(*this);
  HttpConnection& connection = begin(client);
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  for (const std::string_view part : {"one", "two"}) {
    client.send("3\r\n" + std::string(part) + "\r\n");
    ASSERT_TRUE(until([&] { return !body_.seen.empty() && body_.seen.back().ends_with(part); }));
    connection.write(part);
    ASSERT_TRUE(ends_with(client, "3\r\n" + std::string(part) + "\r\n"));
  }
  client.send("0\r\n\r\n");
  ASSERT_TRUE(until([&] { return body_.whole; }));
  connection.finish();
  EXPECT_TRUE(ends_with(client, "\r\n0\r\n\r\n"));
}

TEST_F(HttpEarlyTest, ABrokenBodyCutsAnAnswerThatHasBegun) {
  Client client(*this);
  HttpConnection& connection = begin(client);
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  connection.write("begun");
  ASSERT_TRUE(ends_with(client, "begun\r\n"));
  client.send("x\r\n");
  EXPECT_TRUE(closes(client));
  EXPECT_TRUE(observer_.gone);
  EXPECT_EQ(body_.refused, 0U);
}

TEST_F(HttpEarlyTest, AfterAnEarlyAnswerTheRestIsDroppedAndTheNextRequestServed) {
  Client client(*this);
  HttpConnection& connection = begin(client);
  answer(connection, "enough");
  ASSERT_TRUE(ends_with(client, "enough"));
  client.send("5\r\nlater\r\n0\r\n\r\n");
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(until([&] { return service_.requests == 2; }));
  EXPECT_TRUE(body_.seen.empty());
  EXPECT_TRUE(whole_at_once_);
  EXPECT_EQ(body_.connection->body().size(), 0U);
  answer(*body_.connection, "next");
  EXPECT_TRUE(ends_with(client, "next"));
}

TEST_F(HttpEarlyTest, AfterAnEarlyAnswerNoMoreIsDroppedThanOfOthers) {
  limit_ = 2 * kMaxDropped;
  Client client(*this);
  answer(begin(client), "enough");
  ASSERT_TRUE(ends_with(client, "enough"));
  const std::string chunk = "100000\r\n" + std::string(1U << 20, 'x') + "\r\n";
  for (std::uint64_t sent = 0; sent <= kMaxDropped; sent += chunk.size()) client.send(chunk);
  EXPECT_TRUE(closes(client));  // no time has passed
}

TEST_F(HttpEarlyTest, AServerThatEndsLetsABegunRequestGoOn) {
  Client client(*this);
  HttpConnection& connection = begin(client);
  server().drain();
  pass(kDrainPatience + seconds(1));
  client.send("3\r\none\r\n");
  ASSERT_TRUE(seen("one"));
  EXPECT_EQ(body_.refused, 0U);
  client.send("0\r\n\r\n");
  ASSERT_TRUE(until([&] { return body_.whole; }));
  answer(connection, "last");
  EXPECT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("last"));
}

}  // namespace
}  // namespace sterna::net
