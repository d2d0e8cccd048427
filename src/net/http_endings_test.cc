// Streams, slow and vanishing clients, deadlines, and the drain.
#include <ifaddrs.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "net/testing/http_fixture.h"

namespace sterna::net {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

class HttpEndingTest : public HttpTest {
 protected:
  // The request is kept and answered by the test.
  HttpEndingTest() {
    service_.request = [this](HttpConnection& connection) {
      held_ = &connection;
      connection.observe(&observer_);
    };
  }
  HttpConnection& hold(Client& client, std::string_view request = kGet) {
    client.send(request);
    EXPECT_TRUE(until([&] { return held_ != nullptr; }));
    return *std::exchange(held_, nullptr);
  }

  HttpConnection* held_ = nullptr;
  TestObserver observer_;
};

TEST_F(HttpEndingTest, PipelinedRequestWaitsItsTurn) {
  Client client(*this);
  HttpConnection& first = hold(client, std::string(kGet).append(kGet));
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_EQ(service_.requests, 1);
  first.begin(200);
  first.send("one");
  ASSERT_TRUE(until([&] { return held_ != nullptr; }));
  held_->begin(200);
  held_->send("two");
  EXPECT_TRUE(ends_with(client, "two"));
  EXPECT_NE(client.text.find("one"), std::string::npos);
}

TEST_F(HttpEndingTest, PipelineIsBounded) {
  Client client(*this);
  HttpConnection& first = hold(client);
  const std::string much =
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n" + std::string(900, 'x');
  int sent = 0;
  service_.request = [](HttpConnection& connection) {
    connection.begin(200);
    connection.send("ok");
  };
  for (; sent < 200; ++sent) client.send(much);  // 190 kB, beyond what the server keeps
  first.begin(200);
  first.send("first");
  EXPECT_TRUE(until([&] { return client.read(), service_.requests == 201; })) << service_.requests;
}

// A function that passes on what another server has answered, for one (RFC 9110 6.6.1).
TEST_F(HttpEndingTest, OwnDateStandsInThePlaceOfTheServers) {
  Client client(*this);
  for (const unsigned status : {200U, 404U}) {
    HttpConnection& connection = hold(client);
    connection.begin(status);
    connection.header("X-Before", "1");
    connection.header("dAte", "Mon, 01 Jan 2001 00:00:00 GMT");
    connection.header("Dated", "no");
    connection.send("end");
    ASSERT_TRUE(ends_with(client,
                          "\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nX-Before: 1\r\nDated: no\r\n"
                          "Content-Length: 3\r\n\r\nend"));
    EXPECT_EQ(client.text.find("ate: "), client.text.rfind("ate: ")) << client.text;
    client.text.clear();
  }
}

TEST_F(HttpEndingTest, StreamOfUnknownLengthIsChunked) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  connection.write("hello");
  connection.write("");
  ASSERT_TRUE(ends_with(client, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"));
  connection.write(std::string(26, 'x'));
  connection.finish();
  ASSERT_TRUE(ends_with(client, "1a\r\n" + std::string(26, 'x') + "\r\n0\r\n\r\n"));
  hold(client).begin(204);  // the connection serves on
}

TEST_F(HttpEndingTest, StreamOfKnownLengthIsPlain) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  connection.begin(200);
  connection.begin_stream(6);
  connection.write("abc");
  connection.write("def");
  connection.finish();
  ASSERT_TRUE(ends_with(client, "Content-Length: 6\r\n\r\nabcdef"));
}

using HttpEndingDeathTest = HttpEndingTest;

// Rather no server than one whose answers stand in each other's places.
TEST_F(HttpEndingDeathTest, StreamOfKnownLengthIsNeitherLongerNorShorter) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  connection.begin(200);
  connection.begin_stream(3);
  connection.write("ab");
  EXPECT_DEATH(connection.write("cd"), "left_");
  EXPECT_DEATH(connection.finish(), "left_");
  connection.write("c");
  connection.finish();
  ASSERT_TRUE(ends_with(client, "Content-Length: 3\r\n\r\nabc"));
}

TEST_F(HttpEndingTest, StreamToAnOldClientEndsWithTheConnection) {
  Client client(*this);
  HttpConnection& connection = hold(client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  connection.write("abc");
  connection.finish();
  ASSERT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("Connection: close\r\n\r\nabc")) << client.text;
}

TEST_F(HttpEndingTest, StreamForHeadHasNoBody) {
  Client client(*this);
  HttpConnection& connection = hold(client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  connection.write("abc");
  connection.finish();
  HttpConnection& next = hold(client);
  next.begin(200);
  next.send("next");
  ASSERT_TRUE(ends_with(client, "next"));
  EXPECT_NE(client.text.find("Transfer-Encoding: chunked\r\n\r\nHTTP/1.1 200"), std::string::npos)
      << client.text;
}

TEST_F(HttpEndingTest, SlowReaderIsWaitedForAndBufferedWithinBounds) {
  constexpr std::size_t kPart = 32U << 10;
  constexpr int kParts = 400;
  Client client(*this);
  HttpConnection& connection = hold(client);
  int written = 0;
  std::size_t most = 0;
  const auto fill = [&] {
    while (written < kParts && connection.buffered() <= kLowWater) {
      connection.write(std::string(kPart, 'x'));
      ++written;
      most = std::max(most, connection.buffered());
    }
    if (written == kParts) connection.finish();
  };
  observer_.drained = fill;
  connection.begin(200);
  connection.begin_stream(kPart * kParts);
  fill();
  for (int i = 0; i < 20; ++i) turn();
  EXPECT_LT(written, kParts);  // nobody reads
  EXPECT_TRUE(until([&] { return client.read(), client.text.size() >= kPart * kParts; }))
      << client.text.size();
  EXPECT_LE(most, kLowWater + kPart);
  EXPECT_EQ(written, kParts);
}

TEST_F(HttpEndingTest, ReaderThatStallsIsCutOff) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  connection.write(std::string(16U << 20, 'x'));
  for (int i = 0; i < 20; ++i) turn();
  EXPECT_GT(connection.buffered(), 0U);
  pass(limits_.write_stall - seconds(1));
  EXPECT_FALSE(observer_.gone);
  pass(seconds(2));
  EXPECT_TRUE(observer_.gone);
  EXPECT_EQ(server().connections(), 0U);
}

TEST_F(HttpEndingTest, ReaderHasItsTimeFromTheByteThatWaits) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  turn();
  pass(limits_.write_stall);  // the function says nothing for that long
  connection.write("late");
  pass(seconds(1));
  ASSERT_FALSE(observer_.gone);
  EXPECT_TRUE(ends_with(client, "late\r\n"));
  connection.finish();
}

TEST_F(HttpEndingTest, ClientThatGoesIsTold) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  connection.write("a");
  ASSERT_TRUE(ends_with(client, "a\r\n"));
  client.close();
  EXPECT_TRUE(until([&] {
    if (observer_.gone) return true;
    connection.write("more");  // a reset comes as the answer to bytes
    return false;
  }));
  turn();
  EXPECT_EQ(server().connections(), 0U);
}

TEST_F(HttpEndingTest, HalfClosedClientGetsAnAnswerThatComesSoon) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  client.half_close();
  for (int i = 0; i < 5; ++i) turn();
  ASSERT_FALSE(observer_.gone);
  connection.begin(200);
  connection.send("still here");
  ASSERT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("still here"));
}

TEST_F(HttpEndingTest, HalfClosedClientGetsTheAnswersToAllThatItHasAsked) {
  Client client(*this);
  HttpConnection* connection = &hold(client, std::string(kGet).append(kGet).append(kGet).append("GET / H"));
  client.half_close();
  for (int i = 0; i < 5; ++i) turn();
  for (const char* text : {"one", "two"}) {
    connection->begin(200);
    connection->send(text);
    ASSERT_TRUE(until([&] { return held_ != nullptr; })) << text;
    connection = std::exchange(held_, nullptr);
  }
  connection->begin(200);
  connection->send("three");
  ASSERT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("three")) << client.text;
  EXPECT_NE(client.text.find("two"), std::string::npos) << client.text;
  EXPECT_EQ(service_.requests, 3);
}

TEST_F(HttpEndingTest, HalfClosedClientIsNotWaitedForLong) {
  Client client(*this);
  hold(client);
  client.half_close();
  for (int i = 0; i < 5; ++i) turn();
  pass(milliseconds(900));
  EXPECT_FALSE(observer_.gone);
  pass(milliseconds(600));
  EXPECT_TRUE(observer_.gone);
}

// On a busy machine the answer to somebody who only reads takes its time.
TEST_F(HttpEndingTest, HalfClosedClientMayReadSlowly) {
  constexpr std::size_t kPart = 256U << 10;
  constexpr int kParts = 16;
  Client client(*this);
  HttpConnection& connection = hold(client);
  client.half_close();
  for (int i = 0; i < 5; ++i) turn();
  connection.begin(200);
  connection.begin_stream(kPart * kParts);
  for (int i = 0; i < kParts; ++i) connection.write(std::string(kPart, 'x'));
  connection.finish();
  turn();
  std::size_t before = 0;
  while (!client.closed) {
    pass(seconds(2));
    client.read();
    ASSERT_TRUE(client.closed || client.text.size() > before ||
                until([&] { return !client.read() || client.text.size() > before; }));
    before = client.text.size();
  }
  EXPECT_GE(client.text.size(), kPart * kParts);
}

TEST_F(HttpEndingTest, HalfClosedClientIsGivenAStreamThatPauses) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  client.half_close();
  for (int i = 0; i < 5; ++i) turn();
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  connection.write("one");
  ASSERT_TRUE(ends_with(client, "one\r\n"));
  pass(seconds(5));
  ASSERT_FALSE(observer_.gone);
  connection.write("two");
  connection.finish();
  ASSERT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("two\r\n0\r\n\r\n")) << client.text;
}

TEST_F(HttpEndingTest, RefusedUploadIsDroppedSoThatTheAnswerArrives) {
  Client client(*this);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n");
  client.send(std::string(500'000, 'x'));
  ASSERT_TRUE(ends_with(client, "body_too_large"));
  EXPECT_EQ(server().connections(), 1U);  // it lingers
  pass(seconds(4));
  EXPECT_EQ(server().connections(), 0U);
}

TEST_F(HttpEndingTest, MalformedRestOfARefusedUploadEndsTheConnection) {
  service_.head = [](HttpConnection& connection) {
    connection.begin(404);
    connection.send("no");
    return 0;
  };
  Client client(*this);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  ASSERT_TRUE(ends_with(client, "no"));
  client.send("no chunk\r\n");
  EXPECT_TRUE(closes(client));
  pass(seconds(4));
  EXPECT_EQ(server().connections(), 0U);
}

TEST_F(HttpEndingTest, SlowHeadsAndBodiesTimeOut) {
  Client head(*this);
  head.send("GET / HT");
  for (int i = 0; i < 5; ++i) turn();
  pass(limits_.header_timeout - milliseconds(600));
  EXPECT_EQ(service_.refused, 0U);
  pass(seconds(1));
  EXPECT_EQ(service_.refused, 408U);
  EXPECT_EQ(service_.reason, "request_timeout");
  ASSERT_TRUE(closes(head));
  EXPECT_TRUE(head.text.starts_with("HTTP/1.1 408 Request Timeout\r\n"));

  service_.refused = 0;
  Client body(*this);
  body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  for (int i = 0; i < 5; ++i) turn();
  pass(limits_.body_timeout + seconds(1));
  EXPECT_EQ(service_.refused, 408U);
  EXPECT_TRUE(ends_with(body, "request_timeout"));
}

TEST_F(HttpEndingTest, IdleConnectionsEndSilently) {
  Client fresh(*this);
  ASSERT_TRUE(until([&] { return server().connections() == 1; }));
  pass(limits_.keepalive - seconds(1));
  EXPECT_EQ(server().connections(), 1U);
  pass(seconds(2));
  ASSERT_TRUE(closes(fresh));
  EXPECT_EQ(fresh.text, "");
}

TEST_F(HttpEndingTest, RunsThatTakeLongAreLeftInPeace) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  pass(std::chrono::hours(1));
  connection.begin(200);
  connection.send("done");
  EXPECT_TRUE(ends_with(client, "done"));
}

TEST_F(HttpEndingTest, DrainEndsIdleConnectionsAndLetsOthersFinish) {
  Client idle(*this);
  ASSERT_TRUE(until([&] { return server().connections() == 1; }));
  Client busy(*this);
  HttpConnection& connection = hold(busy);
  server().drain();
  ASSERT_TRUE(closes(idle));
  connection.begin(200);
  connection.send("last");
  ASSERT_TRUE(closes(busy));
  EXPECT_TRUE(busy.text.ends_with("Connection: close\r\n\r\nlast")) << busy.text;
  turn();
  EXPECT_EQ(server().connections(), 0U);
}

TEST_F(HttpEndingTest, DrainClosesHalfAHead) {
  Client client(*this);
  client.send("GET / HT");
  ASSERT_TRUE(until([&] { return server().connections() == 1; }));
  turn();
  server().drain();
  ASSERT_TRUE(closes(client));
  EXPECT_EQ(client.text, "");
}

TEST_F(HttpEndingTest, DrainGivesHalfABodyAMoment) {
  Client slow(*this);
  Client quick(*this);
  for (Client* client : {&slow, &quick}) {
    client->send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  }
  for (int i = 0; i < 5; ++i) turn();
  server().drain();
  pass(milliseconds(500));
  EXPECT_EQ(service_.refused, 0U);
  HttpConnection& connection = hold(quick, "cd");
  connection.begin(200);
  connection.send("whole");
  ASSERT_TRUE(closes(quick));
  EXPECT_TRUE(quick.text.ends_with("whole")) << quick.text;
  pass(kDrainPatience);
  EXPECT_EQ(service_.refused, 503U);
  EXPECT_TRUE(ends_with(slow, "draining"));
  pass(kDrainPatience + seconds(1));
  EXPECT_EQ(server().connections(), 0U);
}

TEST_F(HttpEndingTest, WhoAnswersIsToldOfTheDrain) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  observer_.server_ends = [&] { connection.finish(); };
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  connection.write("line");
  server().drain();
  ASSERT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("line\r\n0\r\n\r\n")) << client.text;
}

TEST_F(HttpEndingTest, WhoBeginsToAnswerDuringTheDrainIsToldToo) {
  Client client(*this);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  for (int i = 0; i < 5; ++i) turn();
  server().drain();
  HttpConnection& connection = hold(client, "cd");
  int told = 0;
  observer_.server_ends = [&] { ++told; };
  pass(seconds(1));
  EXPECT_EQ(told, 1);
  connection.begin(204);
  connection.send({});
  ASSERT_TRUE(closes(client));
}

TEST_F(HttpEndingTest, WhoHasAskedIsHeardDuringTheDrain) {
  Client client(*this);
  client.send(kGet);
  ASSERT_EQ(service_.requests, 0);  // accepted, and not read yet
  ASSERT_EQ(server().connections(), 1U);
  server().drain();
  ASSERT_TRUE(until([&] { return held_ != nullptr; }));
  held_->begin(200);
  held_->send("heard");
  ASSERT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("heard")) << client.text;
}

TEST_F(HttpEndingTest, DrainDoesNotWaitForWhatIsDropped) {
  service_.head = [](HttpConnection& connection) {
    connection.begin(404);
    connection.send("no");
    return 0;
  };
  Client client(*this);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  ASSERT_TRUE(ends_with(client, "no"));
  server().drain();
  pass(kDrainPatience + seconds(1));
  EXPECT_EQ(server().connections(), 0U);
}

TEST_F(HttpEndingTest, AbortCutsAStream) {
  Client client(*this);
  HttpConnection& connection = hold(client);
  connection.begin(200);
  connection.begin_stream(std::nullopt);
  connection.write("half");
  ASSERT_TRUE(ends_with(client, "half\r\n"));
  connection.abort();
  ASSERT_TRUE(closes(client));
  EXPECT_FALSE(client.text.ends_with("0\r\n\r\n"));
  EXPECT_FALSE(observer_.gone);  // who aborts need not be told
}

TEST_F(HttpEndingTest, AbortLetsThatLeaveWhichWasWrittenInTheSameTurn) {
  Client client(*this);
  HttpConnection& first = hold(client, std::string(kGet).append(kGet));
  service_.request = [](HttpConnection& connection) {
    connection.begin(200);
    connection.begin_stream(std::nullopt);
    connection.write("half");
    connection.abort();
  };
  first.begin(200);
  first.send("one");
  ASSERT_TRUE(closes(client));
  EXPECT_NE(client.text.find("\r\n\r\noneHTTP/1.1 200 OK\r\n"), std::string::npos) << client.text;
  EXPECT_TRUE(client.text.ends_with("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")) << client.text;
}

TEST_F(HttpEndingTest, OfAHeadThatIsNotEndedNothingLeaves) {
  Client client(*this);
  HttpConnection& first = hold(client, std::string(kGet).append(kGet));
  service_.request = [](HttpConnection& connection) {
    connection.begin(200);
    connection.header("X-Own", "1");
    connection.abort();
  };
  first.begin(200);
  first.send("one");
  ASSERT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("\r\n\r\none")) << client.text;
}

// An address of this machine that is not loopback.
std::optional<in_addr> own_address() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return std::nullopt;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(all, &::freeifaddrs);
  for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) continue;
    const in_addr found = reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr;
    if ((ntohl(found.s_addr) >> 24U) != IN_LOOPBACKNET) return found;
  }
  return std::nullopt;
}

TEST_F(HttpEndingTest, OneClientCannotHaveAllConnections) {
  const auto address = own_address();
  if (!address) GTEST_SKIP() << "this machine has loopback only";
  listen_on_ = "0.0.0.0";
  limits_.max_connections_per_client = 1;
  server();
  std::optional<Client> first(std::in_place, *this, *address);
  ASSERT_TRUE(until([&] { return server().connections() == 1; }));
  Client second(*this, *address);
  ASSERT_TRUE(closes(second));
  EXPECT_TRUE(second.text.starts_with("HTTP/1.1 503 ")) << second.text;
  EXPECT_NE(second.text.find("\"too_many_connections_of_client\""), std::string::npos) << second.text;
  EXPECT_EQ(server().refused().client, 1U);
  Client near(*this);  // loopback is not counted
  hold(near).begin(204);
  first.reset();
  ASSERT_TRUE(until([&] { return server().connections() == 1; }));
  Client third(*this, *address);
  hold(third).begin(204);
}

// Lowers how many files this process may open, to those that it has and `more`.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t more) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const UniqueFd next(::dup(0));  // the lowest that is free
    rlimit low = before_;
    low.rlim_cur = static_cast<rlim_t>(next.get()) + more;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(HttpEndingTest, LastDescriptorServesAClient) {
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "UBSan tries by a pipe whether it may read an object, and takes it for a broken one "
                  "without descriptors";
#endif
  Client first(*this);
  {
    const FewDescriptors one(1);
    hold(first).begin(204);
  }
  EXPECT_EQ(server().refused().no_descriptors, 0U);
}

// However many come at once: those that came first are served, the others told.
TEST_F(HttpEndingTest, WhoHasAskedDoesNotGiveWayBeforeItWasHeard) {
  limits_.max_connections = 1;
  Client first(*this);
  Client second(*this);
  Client third(*this);
  HttpConnection& held = hold(first);  // all three are accepted before any is read
  for (Client* late : {&second, &third}) {
    ASSERT_TRUE(closes(*late));
    EXPECT_NE(late->text.find("\"too_many_connections\""), std::string::npos) << late->text;
  }
  held.begin(200);
  held.send("served");
  EXPECT_TRUE(ends_with(first, "served"));
}

TEST_F(HttpEndingTest, WithoutDescriptorsClientsAreToldAndThenServedAgain) {
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "UBSan tries by a pipe whether it may read an object, and takes it for a broken one "
                  "without descriptors";
#endif
  Client busy(*this);
  HttpConnection& held = hold(busy);
  Client refused(*this);  // waits in the backlog
  Client later(*this);
  {
    const FewDescriptors none(0);
    ASSERT_TRUE(closes(refused));
    EXPECT_NE(refused.text.find("\"out_of_descriptors\""), std::string::npos) << refused.text;
    ASSERT_TRUE(closes(later));
    EXPECT_EQ(server().refused().no_descriptors, 2U);
  }
  held.begin(200);
  held.send("served");
  EXPECT_TRUE(ends_with(busy, "served"));
  Client next(*this);
  hold(next).begin(204);
}

}  // namespace
}  // namespace sterna::net
