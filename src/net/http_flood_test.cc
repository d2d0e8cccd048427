// Clients that send without end or do not read: each has its share of a turn, and no more memory than others.
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>

#include "net/testing/http2_frames.h"
#include "net/testing/http_fixture.h"

namespace sterna::net {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::size_t kMaxWaiting = 64U << 10;  // docs/http.md

class HttpFloodTest : public HttpTest {
 protected:
  // A client on a socket of which much fits into the kernel, before the server reads it.
  class Sender {
   public:
    explicit Sender(HttpFloodTest& test) {
      std::array<int, 2> ends{};
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
      socket_.reset(ends[0]);
      const int large = 1 << 20;
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
      test.server().adopt(UniqueFd(ends[1]), "127.0.0.1");
    }
    // How much of it the kernel takes at once.
    std::size_t offer(std::string_view bytes) {
      std::size_t taken = 0;
      while (taken < bytes.size()) {
        const ssize_t sent =
            ::send(socket_.get(), bytes.data() + taken, bytes.size() - taken, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0) break;
        taken += static_cast<std::size_t>(sent);
      }
      return taken;
    }
    // Whether the server has not read all.
    bool waits() const {
      int bytes = 0;
      EXPECT_EQ(::ioctl(socket_.get(), SIOCOUTQ, &bytes), 0);
      return bytes > 0;
    }
    // Takes what is there. False when the server has closed.
    bool read() {
      std::string room(64U << 10, '\0');
      ssize_t got = 0;
      while ((got = ::recv(socket_.get(), room.data(), room.size(), 0)) > 0)
        text.append(room, 0, static_cast<std::size_t>(got));
      closed = closed || got == 0 || errno != EAGAIN;
      return !closed;
    }
    std::string text;
    bool closed = false;

   private:
    UniqueFd socket_;
  };

  static std::string times(std::string_view text, std::size_t count) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) all += text;
    return all;
  }
};

TEST_F(HttpFloodTest, BodyIsReadInTurnWithTheOthers) {
  const HttpConnection* seen = nullptr;
  service_.head = [&](HttpConnection& connection) {
    seen = &connection;
    return 1'000'000;
  };
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
  const std::string all = head + std::string(1'000'000, 'x');
  Sender client(*this);
  std::size_t sent = client.offer(all);
  ASSERT_GT(sent, head.size() + kReadShare + (64U << 10));
  turn();
  ASSERT_NE(seen, nullptr);
  EXPECT_LE(seen->body().size(), kReadShare + (64U << 10));
  // The rest follows, though the kernel says nothing of it again.
  EXPECT_TRUE(until([&] { return seen->body().size() == sent - head.size(); }));
  EXPECT_TRUE(until([&] {
    sent += client.offer(std::string_view(all).substr(sent));
    return service_.requests == 1;
  }));
}

TEST_F(HttpFloodTest, PipelineIsAnsweredInTurnWithTheOthers) {
  constexpr std::size_t kRequests = 6000;
  Sender client(*this);
  const std::string all = times(kGet, kRequests);
  ASSERT_EQ(client.offer(all), all.size());
  turn();
  EXPECT_GT(service_.requests, 0);
  EXPECT_LT(service_.requests, 2000);
  EXPECT_TRUE(until([&] { return client.read(), service_.requests == kRequests; })) << service_.requests;
}

TEST_F(HttpFloodTest, WhoDoesNotReadIsNotAnsweredOn) {
  std::size_t most = 0;
  service_.request = [&](HttpConnection& connection) {
    most = std::max(most, connection.buffered());
    connection.begin(200);
    connection.send(std::string(1000, 'x'));
  };
  Sender client(*this);
  const std::string block = times(kGet, 1000);
  std::size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    sent += client.offer(std::string_view(block).substr(sent % block.size()));
    turn();
  }
  EXPECT_LE(most, kMaxWaiting);
  EXPECT_TRUE(client.waits());
  const int asked = static_cast<int>(sent / kGet.size());
  EXPECT_LT(service_.requests, asked);
  EXPECT_TRUE(until([&] { return client.read(), service_.requests == asked; })) << service_.requests;
  EXPECT_LE(most, kMaxWaiting);
}

TEST_F(HttpFloodTest, BodyThatNobodyWantsEnds) {
  service_.head = [](HttpConnection& connection) -> std::uint64_t {
    connection.begin(404);
    connection.send("none");
    return 0;
  };
  Sender client(*this);
  client.offer("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunks = times("1\r\nx\r\n", 10'000);
  std::size_t sent = 0;
  while (!client.closed && sent < 2 * kMaxDropped) {
    sent += client.offer(std::string_view(chunks).substr(sent % chunks.size()));
    turn();
    client.read();
  }
  EXPECT_TRUE(client.closed);
  EXPECT_TRUE(client.text.ends_with("\r\n\r\nnone")) << client.text;
  EXPECT_EQ(server().connections(), 1U);  // it lingers
  pass(kLinger + seconds(1));
  EXPECT_EQ(server().connections(), 0U);
}

TEST_F(HttpFloodTest, Http2FramesAreReadInTurnWithTheOthers) {
  constexpr std::string_view kUpdate("\0\0\4\10\0\0\0\0\0\0\0\0\1", 13);  // of the connection, by 1
  const std::string all = std::string(kPreface) + times(kUpdate, 20'000);
  Sender client(*this);
  ASSERT_EQ(client.offer(all), all.size());
  turn();  // to HTTP/1.1, which hands over
  turn();
  EXPECT_TRUE(client.waits());
  EXPECT_TRUE(until([&] { return !client.waits(); }));
  EXPECT_EQ(server().connections(), 1U);
}

TEST_F(HttpFloodTest, Http2HeadsAreReadInTurnAsLargeAsTheyAreDecoded) {
  constexpr int kRequests = 100;
  constexpr std::size_t kFields = 7;
  std::string all(kPreface);
  for (std::uint32_t i = 0; i < kRequests; ++i) {
    const std::string fields = i == 0 ? large_field() : std::string(kFields, kLargeFieldAgain);
    all += frame(kHeaders, kEndStream | kEndHeaders, 1 + 2 * i, std::string(kGetHead) + fields);
  }
  Sender client(*this);
  ASSERT_EQ(client.offer(all), all.size());
  int before = 0;
  EXPECT_TRUE(until([&] {
    EXPECT_LE(service_.requests - before, kReadShare / (kFields * kLargeField) + 2);
    before = service_.requests;
    return client.read(), service_.requests == kRequests;
  })) << service_.requests;
  EXPECT_EQ(service_.refused, 0U);
  EXPECT_EQ(server().connections(), 1U);
}

TEST_F(HttpFloodTest, Http2HeadThatIsTooLargeIsRefused) {
  Sender client(*this);
  const std::string fields = large_field() + std::string(20, kLargeFieldAgain);
  client.offer(std::string(kPreface) +
               frame(kHeaders, kEndStream | kEndHeaders, 1, std::string(kGetHead) + fields));
  EXPECT_TRUE(until([&] { return client.read(), service_.refused == 431; }));
  client.offer(frame(kHeaders, kEndStream | kEndHeaders, 3, kGetHead));
  EXPECT_TRUE(until([&] { return client.read(), service_.requests == 1; }));
}

TEST_F(HttpFloodTest, Http2HeadThatIsLargeWithoutMeasureEndsTheConnection) {
  const std::string names(10'000, kLargeFieldAgain);
  Sender client(*this);
  client.offer(std::string(kPreface) +
               frame(kHeaders, kEndStream, 1, std::string(kGetHead) + large_field() + names) +
               frame(kContinuation, kEndHeaders, 1, names));
  EXPECT_TRUE(until([&] { return !client.read(); }));
  EXPECT_TRUE(has_frame(client.text, kGoAway, 4, kEnhanceYourCalm));
  EXPECT_EQ(service_.refused, 0U);
}

TEST_F(HttpFloodTest, Http2TrailersThatAreLargeWithoutMeasureEndTheConnection) {
  const std::string names(10'000, kLargeFieldAgain);
  Sender client(*this);
  client.offer(std::string(kPreface) + frame(kHeaders, kEndHeaders, 1, kPostHead) +
               frame(kHeaders, kEndStream | kEndHeaders, 1, large_field() + names));
  EXPECT_TRUE(until([&] { return !client.read(); }));
  EXPECT_TRUE(has_frame(client.text, kGoAway, 4, kEnhanceYourCalm));
  EXPECT_EQ(service_.requests, 0);
}

TEST_F(HttpFloodTest, Http2AnswersThatAreNotTakenKeepFurtherRequestsWaiting) {
  constexpr std::uint32_t kRequests = 100;
  constexpr std::size_t kAnswer = 100'000;
  service_.request = [](HttpConnection& connection) {
    connection.begin(200);
    connection.send(std::string(kAnswer, 'x'));
  };
  std::string all(kPrefaceWithoutWindow);
  for (std::uint32_t i = 0; i < kRequests; ++i)
    all += frame(kHeaders, kEndStream | kEndHeaders, 1 + 2 * i, kGetHead);
  Sender client(*this);
  ASSERT_EQ(client.offer(all), all.size());
  EXPECT_TRUE(until([&] { return !client.waits(); }));
  for (int i = 0; i < 10; ++i) turn();
  EXPECT_GT(service_.requests, 5);
  EXPECT_LE(service_.requests, (1 << 20) / static_cast<int>(kAnswer) + 1);  // docs/http.md
  const std::string window = number(1U << 30, 4);
  client.offer(frame(kWindowUpdate, 0, 0, window) + frame(kSettings, 0, 0, number(4, 2) + window));
  EXPECT_TRUE(until([&] { return client.read(), client.text.size() > kRequests * kAnswer; }));
  EXPECT_EQ(service_.requests, static_cast<int>(kRequests));
}

TEST_F(HttpFloodTest, Http2RequestsWithLongAnswersAreBegunAFewAtATime) {
  constexpr std::uint32_t kRequests = 10;
  std::vector<HttpConnection*> begun;
  service_.head = [](HttpConnection& connection) {
    if (connection.request().method == "GET") connection.answers_at_length();
    return 1000;
  };
  service_.request = [&](HttpConnection& connection) { begun.push_back(&connection); };
  std::string all(kPreface);
  for (std::uint32_t i = 0; i < kRequests; ++i)
    all += frame(kHeaders, kEndStream | kEndHeaders, 1 + 2 * i, kGetHead);
  Sender client(*this);
  client.offer(all + frame(kHeaders, kEndStream | kEndHeaders, 99, kPostHead));
  ASSERT_TRUE(until([&] { return begun.size() == 5; }));   // docs/http.md, and the other one does not wait
  client.offer(frame(kResetStream, 0, 19, number(8, 4)));  // one that waits
  for (std::size_t answered = 0; answered < kRequests; ++answered) {
    ASSERT_TRUE(until([&] { return begun.size() > answered; })) << answered;
    for (int i = 0; i < 4; ++i) turn();
    EXPECT_LE(begun.size() - answered, 5U);
    begun[answered]->begin(204);
    begun[answered]->send({});
  }
  EXPECT_EQ(begun.size(), kRequests);  // the last one was given up
  EXPECT_TRUE(until([&] { return client.read(), server().connections() == 1; }));
}

TEST_F(HttpFloodTest, Http2BodyThatIsTooLargeEndsARequestThatWaits) {
  service_.head = [](HttpConnection& connection) {
    connection.answers_at_length();
    if (connection.request().method == "POST") connection.begin_early();
    return 10;
  };
  std::vector<HttpConnection*> begun;
  service_.request = [&](HttpConnection& connection) { begun.push_back(&connection); };
  std::string all(kPreface);
  for (std::uint32_t i = 0; i < 4; ++i) all += frame(kHeaders, kEndStream | kEndHeaders, 1 + 2 * i, kGetHead);
  all += frame(kHeaders, kEndHeaders, 9, kPostHead) + frame(kData, kEndStream, 9, "whole");
  all += frame(kHeaders, kEndHeaders, 11, kPostHead) + frame(kData, 0, 11, "more than ten");
  Sender client(*this);
  client.offer(all);
  ASSERT_TRUE(until([&] { return service_.refused == 413; }));
  EXPECT_EQ(begun.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    begun[i]->begin(204);
    begun[i]->send({});
  }
  ASSERT_TRUE(until([&] { return begun.size() == 5; }));
  EXPECT_EQ(begun[4]->body().memory(), "whole");
  EXPECT_TRUE(begun[4]->body_is_whole());
  begun[4]->begin(204);
  begun[4]->send({});
  turn();
  EXPECT_EQ(begun.size(), 5U);
}

TEST_F(HttpFloodTest, FixedBodyIsSentWholeInBothVersions) {
  static const std::string body(300'000, 'f');
  service_.request = [](HttpConnection& connection) {
    connection.begin(200);
    connection.send_fixed(body);
  };
  Client first(*this);
  first.send(times(kGet, 3));
  constexpr std::size_t kAnswers = 3;
  EXPECT_TRUE(until([&] {
    first.read();
    return std::ranges::count(first.text, 'f') == static_cast<std::ptrdiff_t>(kAnswers * body.size());
  }));
  std::string_view rest = first.text;
  for (std::size_t i = 0; i < kAnswers; ++i) {
    EXPECT_TRUE(rest.starts_with("HTTP/1.1 200 ")) << i;
    rest.remove_prefix(rest.find("\r\n\r\n") + 4);
    EXPECT_TRUE(rest.starts_with(body)) << i;
    rest.remove_prefix(body.size());
  }
  Sender second(*this);
  const std::string window = number(1U << 20, 4);
  second.offer(std::string(kPreface) + frame(kWindowUpdate, 0, 0, window) +
               frame(kHeaders, kEndStream | kEndHeaders, 1, kGetHead) + frame(kWindowUpdate, 0, 1, window));
  EXPECT_TRUE(until([&] {
    second.read();
    return std::ranges::count(second.text, 'f') == static_cast<std::ptrdiff_t>(body.size());
  }));
}

// As large as heads of functions may be (wire/PROTOCOL.md), in whichever way they are made up.
TEST_F(HttpFloodTest, HeadsOfAnswersAreSentByBothVersions) {
  int fields = 1;
  service_.request = [&](HttpConnection& connection) {
    connection.begin(200);
    const std::string value(static_cast<std::size_t>((64 << 10) / fields), 'v');
    for (int i = 0; i < fields; ++i) connection.header("x", value);
    connection.send("the end");
  };
  for (const int each : {1, 7000}) {
    fields = each;
    Client first(*this);
    first.send(kGet);
    EXPECT_TRUE(ends_with(first, "the end"));
    Sender second(*this);
    second.offer(std::string(kPreface) + frame(kHeaders, kEndStream | kEndHeaders, 1, kGetHead));
    EXPECT_TRUE(until([&] { return second.read(), second.text.ends_with("the end"); })) << each;
  }
}

TEST_F(HttpFloodTest, Http2HeadThatCannotBeSentResetsItsStream) {
  bool large = true;
  service_.request = [&](HttpConnection& connection) {
    connection.begin(200);
    if (std::exchange(large, false)) connection.header("x", std::string(1 << 20, 'v'));
    connection.send("body");
  };
  Sender client(*this);
  client.offer(std::string(kPreface) + frame(kHeaders, kEndStream | kEndHeaders, 1, kGetHead));
  constexpr std::uint32_t kInternalError = 2;
  EXPECT_TRUE(until([&] { return client.read(), has_frame(client.text, kResetStream, 0, kInternalError); }));
  client.offer(frame(kHeaders, kEndStream | kEndHeaders, 3, kGetHead));
  EXPECT_TRUE(until([&] { return client.read(), client.text.ends_with("body"); }));
}

TEST_F(HttpFloodTest, Http2RequestsAreNotGivenUpWithoutEndWhateverTheCode) {
  constexpr std::uint32_t kRequests = 300;
  for (const std::uint32_t code : {0U, 8U}) {  // NO_ERROR, CANCEL
    std::string all(kPreface);
    for (std::uint32_t i = 0; i < kRequests; ++i) {
      all += frame(kHeaders, kEndHeaders, 1 + 2 * i, kPostHead);
      all += frame(kResetStream, 0, 1 + 2 * i, number(code, 4));
    }
    Sender client(*this);
    ASSERT_EQ(client.offer(all), all.size());
    EXPECT_TRUE(until([&] { return !client.read(); })) << code;
    EXPECT_TRUE(has_frame(client.text, kGoAway, 4, kEnhanceYourCalm)) << code;
  }
}

}  // namespace
}  // namespace sterna::net
