// Who keeps the server waiting gives way to a new client when all places are taken; who is served does not.
#include "net/testing/http2_frames.h"
#include "net/testing/http_fixture.h"

namespace sterna::net {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture

constexpr std::size_t kLargeAnswer = 8U << 20;  // more than the kernel takes

class HttpGiveWayTest : public HttpTest {
 protected:
  HttpGiveWayTest() { limits_.max_connections = 1; }

  // A client that has the only place, and has sent this.
  std::unique_ptr<Client> holder(const std::string& bytes) {
    auto client = std::make_unique<Client>(*this);
    client->send(bytes);
    for (int i = 0; i < 4; ++i) turn();
    EXPECT_EQ(server().connections(), 1U);
    return client;
  }
  bool gives_way(Client& holder) {
    Client next(*this);
    next.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_TRUE(until([&] { return !next.read() || next.text.ends_with("GET /next "); }));
    if (next.text.starts_with("HTTP/1.1 503 ")) return false;
    EXPECT_TRUE(closes(holder));
    return true;
  }
  static std::string get(std::uint32_t stream) {
    return frame(kHeaders, kEndStream | kEndHeaders, stream, kGetHead);
  }
  static std::string post(std::uint32_t stream) {
    return frame(kHeaders, kEndHeaders, stream, kPostHead) + frame(kData, 0, stream, "some");
  }
  void answer_with(std::size_t bytes) {
    service_.request = [bytes](HttpConnection& connection) {
      connection.begin(200);
      if (connection.request().target == "/next") return connection.send("GET /next ");
      connection.send(std::string(bytes, 'x'));
    };
  }
};

TEST_F(HttpGiveWayTest, Http2InTheMiddleOfAHead) {
  EXPECT_TRUE(gives_way(*holder(std::string(kPreface) + frame(kHeaders, 0, 1, kGetHead))));
}

TEST_F(HttpGiveWayTest, Http2InTheMiddleOfBodies) {
  EXPECT_TRUE(gives_way(*holder(std::string(kPreface) + post(1) + post(3))));
}

TEST_F(HttpGiveWayTest, Http2WithABodyThatGoesOnBehindTheAnswer) {
  service_.head = [](HttpConnection& connection) -> std::uint64_t {
    if (connection.request().target == "/next") return 0;
    connection.begin(404);
    connection.send("none");
    return 0;
  };
  EXPECT_TRUE(gives_way(*holder(std::string(kPreface) + post(1))));
}

TEST_F(HttpGiveWayTest, Http2ThatWaitsForOneAnswer) {
  HttpConnection* waiting = nullptr;
  service_.request = [&](HttpConnection& connection) { waiting = &connection; };
  const auto client = holder(std::string(kPreface) + post(1) + get(3));
  ASSERT_NE(waiting, nullptr);
  EXPECT_FALSE(gives_way(*client));
  waiting->begin(200);
  waiting->send("answer");
  turn();
  EXPECT_TRUE(ends_with(*client, "answer"));
}

TEST_F(HttpGiveWayTest, Http2WhoseAnswersAreNotRead) {
  answer_with(1000);
  const auto client = holder(std::string(kPrefaceWithoutWindow) + get(1) + get(3));
  EXPECT_FALSE(gives_way(*client));
  pass(kUnread);
  EXPECT_TRUE(gives_way(*client));
}

TEST_F(HttpGiveWayTest, Http2ThatDoesNotReadAtAll) {
  answer_with(kLargeAnswer);
  const std::string window = frame(kWindowUpdate, 0, 0, number(1U << 30, 4));
  const auto client =
      holder(std::string(kPreface) + window + get(1) + frame(kWindowUpdate, 0, 1, number(1U << 30, 4)));
  EXPECT_FALSE(gives_way(*client));
  pass(kUnread);
  EXPECT_TRUE(gives_way(*client));
}

TEST_F(HttpGiveWayTest, Http1WhoseAnswerIsNotRead) {
  answer_with(kLargeAnswer);
  const auto client = holder("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_FALSE(gives_way(*client));
  pass(kUnread);
  EXPECT_TRUE(gives_way(*client));
}

TEST_F(HttpGiveWayTest, Http1WithABodyThatGoesOnBehindTheAnswer) {
  service_.head = [](HttpConnection& connection) -> std::uint64_t {
    if (connection.request().target == "/next") return 0;
    connection.begin(404);
    connection.send("none");
    return 0;
  };
  EXPECT_TRUE(gives_way(*holder("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome")));
}

}  // namespace
}  // namespace sterna::net
