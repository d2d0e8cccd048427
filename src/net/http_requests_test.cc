// Requests over loopback: what is answered, and what is refused.
#include "net/testing/http_fixture.h"

namespace sterna::net {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture

TEST_F(HttpTest, AnswersAndKeepsTheConnection) {
  Client client(*this);
  client.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(ends_with(client, "\r\n\r\nGET /one "));
  EXPECT_TRUE(client.text.starts_with("HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"))
      << client.text;
  EXPECT_NE(client.text.find("Content-Length: 9\r\n"), std::string::npos);
  EXPECT_EQ(client.text.find("Connection:"), std::string::npos);
  client.send("\r\nPOST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
  ASSERT_TRUE(ends_with(client, "POST /two hi"));
  EXPECT_EQ(server().accepted(), 1U);
  EXPECT_EQ(server().connections(), 1U);
}

TEST_F(HttpTest, AClientOfVersion4IsNamedAsSuchWhereBothVersionsAreServed) {
  listen_on_ = "::";
  std::string name;
  service_.request = [&](HttpConnection& connection) {
    name = connection.client();
    connection.begin(200);
    connection.send("ok");
  };
  Client client(*this);
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(ends_with(client, "ok"));
  EXPECT_EQ(name, "127.0.0.1");
}

TEST_F(HttpTest, PipelinedRequestsAreAnsweredInOrder) {
  Client client(*this);
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    requests += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
  }
  client.send(requests);
  ASSERT_TRUE(ends_with(client, "POST /19 x"));
  std::size_t at = 0;
  for (int i = 0; i < 20; ++i) {
    at = client.text.find("POST /" + std::to_string(i) + " x", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST_F(HttpTest, PipelineThatEndsWithTheClientsSideIsAnswered) {
  Client client(*this);
  client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  client.half_close();
  ASSERT_TRUE(closes(client));
  EXPECT_NE(client.text.find("GET /1 "), std::string::npos) << client.text;
  EXPECT_TRUE(client.text.ends_with("GET /2 ")) << client.text;
}

TEST_F(HttpTest, EachByteAlone) {
  Client client(*this);
  for (const char c : std::string(
           "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")) {
    client.send(std::string_view(&c, 1));
  }
  EXPECT_TRUE(ends_with(client, "POST /p abc"));
}

TEST_F(HttpTest, ContinueIsSentWhenTheBodyIsWanted) {
  Client client(*this);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(ends_with(client, "HTTP/1.1 100 Continue\r\n\r\n"));
  client.send("hi");
  ASSERT_TRUE(ends_with(client, "POST / hi"));
  EXPECT_EQ(server().connections(), 1U);
}

TEST_F(HttpTest, ContinueIsNotSentWithTheBodyAlreadyThereOrTooLarge) {
  Client early(*this);
  early.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi");
  ASSERT_TRUE(ends_with(early, "POST / hi"));
  EXPECT_EQ(early.text.find("100 Continue"), std::string::npos);
  Client large(*this);
  large.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(closes(large));
  EXPECT_TRUE(large.text.starts_with("HTTP/1.1 413 ")) << large.text;
}

TEST_F(HttpTest, AnswerInTheHeadDropsTheBodyAndGoesOn) {
  service_.head = [](HttpConnection& connection) -> std::uint64_t {
    if (connection.request().method != "POST") return 1000;
    connection.begin(404);
    connection.send("none");
    return 0;
  };
  Client client(*this);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  ASSERT_TRUE(ends_with(client, "none"));
  client.send("cdeGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(ends_with(client, "GET /next "));
  EXPECT_EQ(service_.requests, 1);
}

// The client is not to take the connection for one that goes on: its body will not be read.
TEST_F(HttpTest, AnswerBeforeABodyThatWasAskedAboutSaysThatItCloses) {
  service_.head = [](HttpConnection& connection) -> std::uint64_t {
    connection.begin(404);
    connection.send("none");
    return 0;
  };
  Client client(*this);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("\r\nConnection: close\r\n\r\nnone")) << client.text;
}

TEST_F(HttpTest, BodyTooLarge) {
  EXPECT_EQ(refusal("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"), 413);
  EXPECT_EQ(service_.reason, "body_too_large");
  const std::string part(600, 'x');
  EXPECT_EQ(refusal("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n258\r\n" + part +
                    "\r\n258\r\n" + part + "\r\n0\r\n\r\n"),
            413);
  EXPECT_EQ(service_.requests, 0);
  EXPECT_EQ(budget_.in_use, 0U);
}

TEST_F(HttpTest, HeadTooLarge) {
  limits_.max_header_bytes = 500;
  const std::string much(600, 'x');
  EXPECT_EQ(refusal("GET /" + much + " HTTP/1.1\r\nHost: a\r\n\r\n"), 414);
  EXPECT_EQ(service_.reason, "uri_too_long");
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: a\r\nX: " + much + "\r\n\r\n"), 431);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: a\r\nX: " + much), 431);
  EXPECT_EQ(service_.reason, "headers_too_large");
}

TEST_F(HttpTest, MalformedRequestsEndTheConnection) {
  for (const char* request :
       {"GET / HTTP/1.1\nHost: a\n\n", "hello\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n\r\n"}) {
    EXPECT_EQ(refusal(request), 400) << request;
    EXPECT_EQ(service_.reason, "bad_request");
  }
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"), 417);
  EXPECT_EQ(service_.requests, 0);
}

TEST_F(HttpTest, OldVersion) {
  Client once(*this);
  once.send("GET / HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(closes(once));
  EXPECT_NE(once.text.find("Connection: close\r\n"), std::string::npos);
  Client again(*this);
  again.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(ends_with(again, "GET / "));
  EXPECT_NE(again.text.find("Connection: keep-alive\r\n"), std::string::npos);
  again.send("GET /2 HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(closes(again));
  EXPECT_TRUE(again.text.ends_with("GET /2 "));
}

TEST_F(HttpTest, CloseIsAgreedTo) {
  Client client(*this);
  client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("\r\nConnection: close\r\n\r\nGET / ")) << client.text;
}

TEST_F(HttpTest, HeadHasTheLengthButNoBody) {
  Client client(*this);
  client.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(ends_with(client, "GET /y "));
  EXPECT_NE(client.text.find("Content-Length: 8\r\n\r\nHTTP/1.1 200"), std::string::npos) << client.text;
}

TEST_F(HttpTest, StatusesWithoutBody) {
  unsigned status = 204;
  service_.request = [&](HttpConnection& connection) {
    connection.begin(status);
    connection.header("X-A", "b");
    connection.send("never seen");
  };
  for (const unsigned bodyless : {204U, 304U}) {
    status = bodyless;
    Client client(*this);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(ends_with(client, "X-A: b\r\n\r\n"));
    EXPECT_EQ(client.text.find("Content-Length"), std::string::npos);
  }
}

TEST_F(HttpTest, ResetContentHasAnEmptyBody) {
  service_.request = [](HttpConnection& connection) {
    connection.begin(205);
    connection.header("X-A", "b");
    if (connection.request().target == "/whole") return connection.send("never seen");
    connection.begin_stream(std::nullopt);
    connection.write("never seen");
    connection.finish();
  };
  for (const std::string target : {"/whole", "/stream"}) {
    Client client(*this);
    client.send("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(ends_with(client, "\r\nContent-Length: 0\r\nX-A: b\r\n\r\n")) << target;
  }
}

TEST_F(HttpTest, LargeBodyIsSpooled) {
  budget_.body_limit = 10;
  service_.head = [](HttpConnection&) { return 1'000'000; };
  service_.request = [](HttpConnection& connection) {
    std::string text;
    EXPECT_TRUE(connection.body().read(connection.body().size() - 3, 3, text));
    connection.begin(200);
    connection.send(std::to_string(connection.body().size()) + text);
  };
  Client client(*this);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300003\r\n\r\n" + std::string(300'000, 'x') +
              "end");
  EXPECT_TRUE(ends_with(client, "300003end"));
}

TEST_F(HttpTest, TooManyConnectionsAreToldSo) {
  limits_.max_connections = 1;
  HttpConnection* waiting = nullptr;
  service_.request = [&](HttpConnection& connection) { waiting = &connection; };
  Client first(*this);
  first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(until([&] { return waiting != nullptr; }));
  Client second(*this);
  ASSERT_TRUE(closes(second));
  EXPECT_TRUE(second.text.starts_with("HTTP/1.1 503 ")) << second.text;
  waiting->begin(200);
  waiting->send("answer");
  turn();
  EXPECT_TRUE(ends_with(first, "answer"));
}

TEST_F(HttpTest, AConnectionThatKeepsUsWaitingGivesWay) {
  limits_.max_connections = 2;
  Client idle(*this);
  idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(ends_with(idle, "GET / "));
  Client slow(*this);
  slow.send("GET / HTTP/1.1\r\nHo");
  Client third(*this);
  third.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(ends_with(third, "GET /3 "));
  EXPECT_TRUE(closes(idle));
  Client fourth(*this);
  fourth.send("GET /4 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(ends_with(fourth, "GET /4 "));
  EXPECT_TRUE(closes(slow));
}

TEST_F(HttpTest, PortInUseIsAnError) {
  const auto second = HttpServer::listen(loop_, "127.0.0.1", server().port(), service_, limits_, budget_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "cannot_listen");
}

}  // namespace
}  // namespace sterna::net
