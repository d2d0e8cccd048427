// One HTTP exchange, one run: over a real connection, with a played worker.
#include "gateway/invoke_exchange.h"

#include "gateway/testing/serving_fixture.h"

namespace sterna::gateway {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture

class InvokeExchangeTest : public ServingTest {
 protected:
  InvokeExchangeTest() {
    service_.request = [this](net::HttpConnection& connection) {
      ++running_;
      if (meters_.any()) exchange_.charge(loop_, meters_);
      exchange_.start(connection, *table_.find("default", "f"), "call-1", exchange_.request_memory(),
                      loop_.now());
    };
  }
  ~InvokeExchangeTest() override {
    end();
    EXPECT_EQ(running_, 0);
  }

  int running_ = 0;
  Meters meters_;
  const InvokeExchange::Done done_ = [this](InvokeExchange&) { --running_; };
  InvokeExchange exchange_{table_, done_};  // tests have one run at a time
};

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

TEST_F(InvokeExchangeTest, AnswerCarriesStatusHeadersTimingsAndBody) {
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  turn();
  clock_.advance(milliseconds(2));
  worker().respond(request, 201, {{"X-Own", "1"}, {"x-own", "2"}}, "made");
  ASSERT_TRUE(ends_with(client, "made"));
  EXPECT_TRUE(client.text.starts_with("HTTP/1.1 201 Created\r\n"));
  EXPECT_TRUE(has_line(client, "X-Own: 1\r\n"));
  EXPECT_TRUE(has_line(client, "x-own: 2\r\n"));
  EXPECT_TRUE(has_line(client, "X-Call-Id: call-1\r\n"));
  EXPECT_TRUE(has_line(client, "X-Duration-Seconds: 0.001500\r\n"));
  EXPECT_TRUE(has_line(client, "Server-Timing: queue;dur=0.000, cold;dur=0.000, run;dur=1.500\r\n"));
  EXPECT_TRUE(has_line(client, "Content-Length: 4\r\n"));
  EXPECT_FALSE(has_line(client, "X-Sterna-Fault"));
}

TEST_F(InvokeExchangeTest, ErrorOfTheFunctionIsMarkedAsItsOwn) {
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  worker().respond(request, 404, {}, "nothing here");
  ASSERT_TRUE(ends_with(client, "nothing here"));
  EXPECT_TRUE(has_line(client, "X-Sterna-Fault: function\r\n"));
}

TEST_F(InvokeExchangeTest, PlatformsHeadersAndHopByHopOnesAreNotTheFunctions) {
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  worker().respond(request, 200,
                   {{"X-Call-Id", "forged"},
                    {"X-Sterna-Fault", "platform"},
                    {"Server-Timing", "forged"},
                    {"Content-Length", "99"},
                    {"Connection", "X-First"},
                    {"Connection", "keep-alive, X-Second"},
                    {"X-First", "1"},
                    {"X-Second", "2"},
                    {"Transfer-Encoding", "chunked"},
                    {"X-Third", "3"}},
                   "ok");
  ASSERT_TRUE(ends_with(client, "\r\n\r\nok"));
  EXPECT_EQ(client.text.find("forged"), std::string::npos);
  for (const char* gone :
       {"X-Sterna-Fault", "Content-Length: 99", "X-First", "X-Second", "Transfer-Encoding"}) {
    EXPECT_FALSE(has_line(client, gone)) << gone;
  }
  EXPECT_TRUE(has_line(client, "X-Third: 3\r\n"));
}

TEST_F(InvokeExchangeTest, FailureIsAProblemWithTheCallId) {
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  worker().fail(request, wire::FailKind::kRaised, "ValueError: secret");
  ASSERT_TRUE(ends_with(client, "}"));
  EXPECT_TRUE(client.text.starts_with("HTTP/1.1 500 "));
  EXPECT_TRUE(has_line(client, "Content-Type: application/problem+json\r\n"));
  EXPECT_TRUE(has_line(client, "X-Sterna-Fault: function\r\n"));
  EXPECT_TRUE(has_line(client, "Server-Timing: "));
  EXPECT_NE(client.text.find(R"("reason":"function_raised")"), std::string::npos);
  EXPECT_NE(client.text.find(R"("call_id":"call-1")"), std::string::npos);
  EXPECT_EQ(client.text.find("secret"), std::string::npos);
  EXPECT_NE(logs_.back().find("secret"), std::string::npos);
}

TEST_F(InvokeExchangeTest, StreamGoesOutInPartsAndWindowsFollowTheClient) {
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  const std::string first = std::string(40'000, 'x') + "one ";
  worker().respond(request, first, milliseconds(1), More::kYes);
  ASSERT_TRUE(until([&] { return client.read(), client.text.find("one ") != std::string::npos; }));
  EXPECT_TRUE(has_line(client, "Transfer-Encoding: chunked\r\n"));
  std::vector<OwnedFrame> windows;
  ASSERT_TRUE(until([&] { return !(windows = worker().receive(FrameType::kWindow)).empty(); }));
  std::uint32_t bytes = 0;
  ASSERT_TRUE(wire::read_window(windows.front().payload, bytes));
  EXPECT_EQ(bytes, first.size());
  worker().send(FrameType::kResponseBody, More::kYes, request.slot, request.call, "two");
  worker().send(FrameType::kResponseBody, More::kNo, request.slot, request.call, "");
  EXPECT_TRUE(ends_with(client, "3\r\ntwo\r\n0\r\n\r\n"));
}

TEST_F(InvokeExchangeTest, ClientThatDoesNotReadGivesNoWindow) {
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  worker().respond(request, "", milliseconds(1), More::kYes);
  std::size_t sent = 0;
  std::size_t window = wire::kInitialWindow;
  const std::string part(16U << 10, 'x');
  for (int round = 0; round < 2000; ++round) {  // until the kernel's buffers are full
    if (sent + part.size() <= window) {
      worker().send(FrameType::kResponseBody, More::kYes, request.slot, request.call, part);
      sent += part.size();
    }
    turn();
    for (const OwnedFrame& frame : worker().receive(FrameType::kWindow)) {
      std::uint32_t bytes = 0;
      ASSERT_TRUE(wire::read_window(frame.payload, bytes));
      window += bytes;
    }
    if (sent + part.size() > window && round > 100) break;
  }
  EXPECT_LT(window - sent, part.size());  // it must not send more now
  worker().send(FrameType::kResponseBody, More::kNo, request.slot, request.call, "");
  EXPECT_TRUE(ends_with(client, "\r\n0\r\n\r\n"));
}

TEST_F(InvokeExchangeTest, StreamsAreNoFasterThanTheMetersLetThem) {
  meters_.space =
      std::make_shared<Meter>(RateLimit{.requests_per_second = 0, .burst = 0, .bytes_per_second = 20'000});
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  worker().respond(request, std::string(59'998, 'x') + "y\n", milliseconds(1), More::kYes);
  ASSERT_TRUE(until([&] { return client.read(), client.text.find("y\n") != std::string::npos; }));
  EXPECT_EQ(meters_.bytes_wait(loop_.now()), milliseconds(2000) + std::chrono::microseconds(50));
  pass(milliseconds(2000));
  EXPECT_TRUE(worker().receive(FrameType::kWindow).empty());
  pass(milliseconds(1));
  std::vector<OwnedFrame> windows;
  ASSERT_TRUE(until([&] { return !(windows = worker().receive(FrameType::kWindow)).empty(); }));
  std::uint32_t bytes = 0;
  ASSERT_TRUE(wire::read_window(windows.front().payload, bytes));
  EXPECT_EQ(bytes, 60'000U);
  worker().send(FrameType::kResponseBody, More::kNo, request.slot, request.call, "");
  EXPECT_TRUE(ends_with(client, "\r\n0\r\n\r\n"));
}

TEST_F(InvokeExchangeTest, StreamThatBreaksCutsTheConnection) {
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  worker().respond(request, "begun", milliseconds(1), More::kYes);
  ASSERT_TRUE(until([&] { return client.read(), client.text.find("begun") != std::string::npos; }));
  worker().exit(pool::testing::exit_signal(9));
  EXPECT_TRUE(closes(client));
  EXPECT_FALSE(client.text.ends_with("0\r\n\r\n"));
}

// What the worker adds to an answer that is whole would be the answer to the next request on the connection.
TEST_F(InvokeExchangeTest, AnAnswerLongerThanItAnnouncesIsCutAtItsEnd) {
  constexpr std::string_view kForged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  worker().announce(request, 2, "ok", More::kYes);
  ASSERT_TRUE(ends_with(client, "\r\n\r\nok"));
  client.send(kGet);
  worker().send(FrameType::kResponseBody, More::kNo, request.slot, request.call, kForged);
  ASSERT_TRUE(until([&] { return worker().killed(); }));
  worker().exit(pool::testing::exit_signal(9));
  EXPECT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("\r\n\r\nok"));
}

// The client sees by the bytes that are missing that it is not whole.
TEST_F(InvokeExchangeTest, AnAnswerShorterThanItAnnouncesCutsTheConnection) {
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  worker().announce(request, 100, "ok", More::kYes);
  ASSERT_TRUE(ends_with(client, "\r\n\r\nok"));
  client.send(kGet);
  worker().send(FrameType::kResponseBody, More::kNo, request.slot, request.call, "");
  ASSERT_TRUE(until([&] { return worker().killed(); }));
  worker().exit(pool::testing::exit_signal(9));
  EXPECT_TRUE(closes(client));
  EXPECT_TRUE(client.text.ends_with("\r\n\r\nok"));
}

TEST_F(InvokeExchangeTest, NothingOfABrokenStreamIsLeftInTheNextRun) {
  Client client(*this);
  client.send(kGet);
  const OwnedFrame request = run();
  worker().respond(request, "begun", milliseconds(1), More::kYes);
  ASSERT_TRUE(until([&] { return client.read(), client.text.find("begun") != std::string::npos; }));
  worker().exit(pool::testing::exit_signal(9));
  ASSERT_TRUE(closes(client));
  Client second(*this);
  second.send(kGet);
  ASSERT_TRUE(until([&] { return launcher_.started() == 2; }));
  const OwnedFrame next = run();
  worker().fail(next, wire::FailKind::kRaised, "boom");
  ASSERT_TRUE(ends_with(second, "}"));
  EXPECT_TRUE(second.text.starts_with("HTTP/1.1 500 "));
}

TEST_F(InvokeExchangeTest, ClientThatGoesCancelsItsRun) {
  Client client(*this);
  client.send(kGet);
  run();
  client.close();
  EXPECT_TRUE(until([&] { return pass(seconds(1)), running_ == 0; }));
  EXPECT_TRUE(until([&] { return !worker().receive(FrameType::kCancel).empty(); }));
}

TEST_F(InvokeExchangeTest, BodyReachesTheWorkerAndTheConnectionServesTheNext) {
  Client client(*this);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nping");
  const OwnedFrame first = run();
  EXPECT_TRUE(first.payload.ends_with("ping"));
  worker().respond(first, 200, {}, "pong");
  ASSERT_TRUE(ends_with(client, "pong"));
  client.send(kGet);
  std::vector<OwnedFrame> frames;
  ASSERT_TRUE(until([&] { return !(frames = worker().receive(FrameType::kRequest)).empty(); }));
  EXPECT_FALSE(frames.front().payload.ends_with("ping"));
  clock_.advance(milliseconds(2));
  worker().respond(frames.front(), 200, {}, "again");
  EXPECT_TRUE(ends_with(client, "again"));
  EXPECT_NE(client.text.find("Server-Timing: queue;dur=0.000, run;dur=1.500\r\n"), std::string::npos);
}

// Bodies that come while their call runs.
class StreamedBodyTest : public InvokeExchangeTest {
 protected:
  StreamedBodyTest() {
    registry::Function changed = function();
    changed.newest.number = 2;
    changed.newest.spec.request_buffering = false;
    changed.active = changed.newest;
    table_.apply(changed);
    service_.head = [](net::HttpConnection& connection) {
      connection.begin_early();
      return 100;
    };
  }
  // All BODY bytes that come until they end with `text`.
  bool body_ends_with(std::string_view text) {
    return until([&] {
      for (const OwnedFrame& frame : worker().receive(FrameType::kRequestBody)) body_ += frame.payload;
      return body_.ends_with(text);
    });
  }
  // The outcome of the last run, as the metrics have it.
  double cancelled() {
    double count = 0;
    for (const auto& family : prometheus_.Collect()) {
      for (const auto& metric : family.metric) {
        for (const auto& label : metric.label) {
          if (label.name == "outcome" && label.value == "cancelled") count += metric.counter.value;
        }
      }
    }
    return count;
  }

  static constexpr std::string_view kHead =
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string body_;
};

TEST_F(StreamedBodyTest, BodyFollowsItsCallAndTheAnswerItsBody) {
  Client client(*this);
  client.send(kHead);
  const OwnedFrame request = run();
  EXPECT_EQ(request.more, More::kYes);
  client.send("3\r\none\r\n");
  ASSERT_TRUE(body_ends_with("one"));
  worker().respond(request, "1", milliseconds(1), More::kYes);
  ASSERT_TRUE(ends_with(client, "1\r\n1\r\n"));
  client.send("3\r\ntwo\r\n");
  ASSERT_TRUE(body_ends_with("two"));
  worker().send(FrameType::kResponseBody, More::kYes, request.slot, request.call, "2");
  ASSERT_TRUE(ends_with(client, "1\r\n2\r\n"));
  client.send("0\r\n\r\n");
  std::vector<OwnedFrame> last;
  ASSERT_TRUE(until([&] { return !(last = worker().receive(FrameType::kRequestBody)).empty(); }));
  EXPECT_EQ(last.back().more, More::kNo);
  worker().send(FrameType::kResponseBody, More::kNo, request.slot, request.call, "");
  EXPECT_TRUE(ends_with(client, "\r\n0\r\n\r\n"));
  EXPECT_EQ(body_, "onetwo");
}

TEST_F(StreamedBodyTest, ABodyThatBreaksOffCancelsItsRun) {
  const std::pair<const char*, const char*> breaks[] = {{"zz\r\n", "bad_request"},
                                                        {"65\r\n", "body_too_large"}};
  double before = cancelled();
  for (const auto& [bytes, reason] : breaks) {
    SCOPED_TRACE(reason);
    Client client(*this);
    client.send(kHead);
    const OwnedFrame request = run();
    client.send(bytes);
    client.send(std::string(101, 'x'));
    ASSERT_TRUE(ends_with(client, "}"));
    EXPECT_NE(client.text.find(reason), std::string::npos) << client.text;
    EXPECT_NE(client.text.find(R"("call_id":"call-1")"), std::string::npos) << client.text;
    EXPECT_TRUE(until([&] { return !worker().receive(FrameType::kCancel).empty(); }));
    EXPECT_EQ(running_, 0);
    EXPECT_EQ(cancelled(), ++before);
    worker().fail(request, wire::FailKind::kCancelled, "");
    turn();
  }
}

TEST_F(StreamedBodyTest, ClientThatGoesInTheMidstCancelsItsRun) {
  Client client(*this);
  client.send(kHead);
  run();
  client.send("3\r\none\r\n");
  ASSERT_TRUE(body_ends_with("one"));
  client.close();
  EXPECT_TRUE(until([&] { return running_ == 0; }));
  EXPECT_TRUE(until([&] { return !worker().receive(FrameType::kCancel).empty(); }));
  EXPECT_EQ(cancelled(), 1);
}

TEST_F(StreamedBodyTest, AnEarlyAnswerLeavesTheConnectionToTheNextRequest) {
  Client client(*this);
  client.send(kHead);
  const OwnedFrame request = run();
  worker().respond(request, 401, {}, "who?");
  ASSERT_TRUE(ends_with(client, "who?"));
  client.send("3\r\none\r\n0\r\n\r\n");
  client.send(kGet);
  std::vector<OwnedFrame> frames;
  ASSERT_TRUE(until([&] { return !(frames = worker().receive(FrameType::kRequest)).empty(); }));
  EXPECT_EQ(frames.front().more, More::kNo);
  worker().respond(frames.front(), 200, {}, "again");
  EXPECT_TRUE(ends_with(client, "again"));
}

TEST_F(StreamedBodyTest, MetersCountWhatComes) {
  meters_.space =
      std::make_shared<Meter>(RateLimit{.requests_per_second = 0, .burst = 0, .bytes_per_second = 10});
  Client client(*this);
  client.send(kHead);
  const OwnedFrame request = run();
  client.send("1e\r\n" + std::string(29, 'x') + "y\r\n");
  ASSERT_TRUE(body_ends_with("y"));
  EXPECT_GE(meters_.bytes_wait(loop_.now()), seconds(1));
  worker().respond(request, 200, {}, "ok");
  EXPECT_TRUE(ends_with(client, "ok"));
}

}  // namespace
}  // namespace sterna::gateway
