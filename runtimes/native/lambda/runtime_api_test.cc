#include "native/lambda/runtime_api.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>

#include "worker/guard.h"
#include "worker/testing/open_channel.h"

namespace sterna::native {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kPreludeType =
    "Content-Type: application/vnd.awslambda.http-integration-response\r\n";
constexpr std::string_view kStreaming =
    "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n";

std::string chunk(std::string_view data) {
  return fmt::format("{:x}\r\n", data.size()).append(data).append("\r\n");
}

class Maker final : public RunMaker {
 public:
  explicit Maker(const std::unique_ptr<RuntimeApi>& api) : api_(api) {}
  std::unique_ptr<Run> start(Exchange& exchange) override { return api_->start(exchange); }
  bool can_start() override { return api_->is_asked(); }
  void leave() override {}

 private:
  const std::unique_ptr<RuntimeApi>& api_;
};

// A worker's whole native side, with a socket for the server's end and sockets for the program's.
class RuntimeApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = worker::open_channel(guard_);
    channel_ = std::move(opened.channel);
    server_ = std::move(opened.server);
    begin(1);
  }

  void begin(std::size_t concurrency) {
    api_ = std::make_unique<RuntimeApi>(
        loop_,
        LambdaFunction{.source = {.function = "hello", .space = "default"},
                       .arn = "arn:x",
                       .timeout = std::chrono::seconds(3),
                       .concurrency = concurrency},
        RuntimeApi::Observer{
            .on_next = [this] { desk_->start_more(); },
            .on_init_error = [this](const ReportedError& error) { init_error_ = error.text(); },
            .before_answer = [this] { ++drained_; },
            .on_idle = [] {}});
    desk_.reset();
    desk_ = std::make_unique<Desk>(loop_, *channel_, concurrency, maker_);
    ASSERT_TRUE(desk_->open("test", false));
    turn();
    frames_.clear();
  }

  // Often enough for all that follows one event: frames that do not fit into the socket at once, too.
  void turn() {
    for (int i = 0; i < 8; ++i) {
      loop_.turn(Duration::zero());
      take_frames();
    }
  }

  void take_frames() {
    char* const into = reader_.prepare(4 << 20);
    const ssize_t got = ::recv(server_.get(), into, reader_.writable(), MSG_DONTWAIT);
    if (got > 0) reader_.commit(static_cast<std::size_t>(got));
    for (auto next = reader_.next(); next && *next; next = reader_.next()) {
      const wire::Frame& frame = **next;
      if (frame.type == wire::FrameType::kLog) continue;
      frames_.push_back({frame.type, frame.more, frame.call, std::string(frame.payload)});
    }
  }

  void send_frame(const std::string& frame) {
    ASSERT_EQ(::send(server_.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
    turn();
  }

  void call(std::uint64_t number, std::string_view id) {
    std::string headers;
    wire::append_header(headers, "X-Call-Id", id);
    std::string frame;
    const auto slot = static_cast<std::uint16_t>(number);
    channel_->claims().set(slot, wire::Claim::kQueued);
    const std::size_t at = wire::open_frame(frame, wire::FrameType::kRequest, wire::More::kNo, slot, number);
    wire::append_request(
        frame, {.method = "GET", .path = "/", .query = "", .header_count = 1, .headers = headers}, "");
    wire::close_frame(frame, at);
    send_frame(frame);
  }

  void cancel(std::uint64_t number) {
    std::string frame;
    wire::append_frame(frame, wire::FrameType::kCancel, wire::More::kNo, static_cast<std::uint16_t>(number),
                       number, "");
    send_frame(frame);
  }

  void widen(std::uint64_t number, std::uint32_t bytes) {
    std::string payload;
    wire::append_window(payload, bytes);
    std::string frame;
    wire::append_frame(frame, wire::FrameType::kWindow, wire::More::kNo, static_cast<std::uint16_t>(number),
                       number, payload);
    send_frame(frame);
  }

  // A connection of the program.
  int connect() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    auto connection = std::make_unique<ApiConnection>(loop_, UniqueFd(ends[1]), *api_, [this] { ++closed_; });
    EXPECT_TRUE(connection->open());
    connections_.push_back(std::move(connection));
    programs_.emplace_back(ends[0]);
    return ends[0];
  }

  // Sends in parts that a socket takes, until all is sent or the connection closed.
  std::string ask(int program, std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent =
          ::send(program, text.data(), std::min<std::size_t>(text.size(), 64U << 10), MSG_NOSIGNAL);
      if (sent <= 0) break;
      text.remove_prefix(static_cast<std::size_t>(sent));
      turn();
    }
    return heard(program);
  }
  std::string heard(int program) {
    std::string text(1 << 20, '\0');
    const ssize_t got = ::recv(program, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }
  std::string next(int program) {
    return ask(program, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  std::string post(int program, std::string_view path, std::string_view body, std::string_view headers = "") {
    return ask(
        program,
        fmt::format("POST /2018-06-01/runtime/{} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}\r\n{}", path,
                    body.size(), headers, body));
  }
  std::string stream(int program, std::string_view path, std::string_view data,
                     std::string_view headers = "") {
    return ask(program, fmt::format("POST /2018-06-01/runtime/{} HTTP/1.1\r\nHost: x\r\n{}{}\r\n{}", path,
                                    kStreaming, headers, data));
  }

  struct Sent {
    wire::FrameType type;
    wire::More more;
    std::uint64_t call;
    std::string payload;
  };
  // "status body" of the frame that a call ended with, "failed KIND text", or "" when nothing has come.
  // Bodies of several frames are joined.
  std::string outcome(std::uint64_t number) {
    std::string text;
    for (const Sent& frame : frames_) {
      if (frame.call != number) continue;
      std::string_view body = frame.payload;
      if (frame.type == wire::FrameType::kResponse) {
        wire::ResponseHead head;
        EXPECT_TRUE(wire::read_response(frame.payload, head, body));
        text += std::to_string(head.status) + " ";
      } else if (frame.type == wire::FrameType::kFailed) {
        wire::Failed failed;
        EXPECT_TRUE(wire::read_failed(frame.payload, failed));
        return text + fmt::format("failed {} {}", static_cast<int>(failed.kind), failed.text);
      }
      text += body;
      if (frame.more == wire::More::kYes) continue;
      return text;
    }
    return text.empty() ? text : text + "...";
  }

  ManualClock clock_;
  net::Loop loop_{clock_};
  worker::NoGuard guard_;
  UniqueFd server_;
  std::unique_ptr<worker::Channel> channel_;
  wire::FrameReader reader_;
  std::vector<Sent> frames_;
  std::unique_ptr<RuntimeApi> api_;
  Maker maker_{api_};
  std::vector<std::unique_ptr<ApiConnection>> connections_;
  std::unique_ptr<Desk> desk_;
  std::vector<UniqueFd> programs_;
  std::string init_error_;
  int drained_ = 0;
  int closed_ = 0;
};

TEST_F(RuntimeApiTest, GivesAnInvocationToWhoAsksAndTakesItsAnswer) {
  const int program = connect();
  EXPECT_EQ(next(program), "");
  call(1, "ID1");
  const std::string given = heard(program);
  EXPECT_THAT(
      given, StartsWith("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: "
                        "ID1\r\nLambda-Runtime-Deadline-Ms: 1700000003000\r\n"
                        "Lambda-Runtime-Invoked-Function-Arn: arn:x\r\nContent-Length: "));
  EXPECT_THAT(post(program, "invocation/ID1/response", R"({"statusCode": 201, "body": "hi"})"),
              StartsWith("HTTP/1.1 202 Accepted\r\n"));
  EXPECT_EQ(outcome(1), "201 hi");
  EXPECT_EQ(drained_, 1);
}

TEST_F(RuntimeApiTest, ACallIsNotBegunBeforeSomebodyAsks) {
  call(1, "ID1");
  EXPECT_EQ(channel_->claims().get(1), wire::Claim::kQueued);
  const int program = connect();
  EXPECT_THAT(next(program), HasSubstr("ID1"));
  EXPECT_EQ(channel_->claims().get(1), wire::Claim::kStarted);
}

TEST_F(RuntimeApiTest, OneInvocationAtATime) {
  const int program = connect();
  const int other = connect();
  next(program);
  call(1, "ID1");
  call(2, "ID2");
  EXPECT_THAT(heard(program), HasSubstr("ID1"));
  EXPECT_THAT(next(other), StartsWith("HTTP/1.1 403 Forbidden"));
  post(program, "invocation/ID1/response", "1");
  EXPECT_THAT(next(program), HasSubstr("ID2"));
}

TEST_F(RuntimeApiTest, SeveralAtATimeWhenTheFunctionSaysSo) {
  begin(2);
  const int program = connect();
  const int other = connect();
  next(program);
  next(other);
  call(1, "ID");
  call(2, "ID");
  EXPECT_THAT(heard(program), HasSubstr("Request-Id: ID\r\n"));
  EXPECT_THAT(heard(other), HasSubstr("Request-Id: ID-2\r\n"));
  EXPECT_THAT(post(other, "invocation/ID-2/response", "2"), HasSubstr("202"));
  EXPECT_THAT(post(program, "invocation/ID/response", "1"), HasSubstr("202"));
  EXPECT_EQ(outcome(1), "200 1");
  EXPECT_EQ(outcome(2), "200 2");
}

TEST_F(RuntimeApiTest, WrongIdsAndStatesAreTold) {
  const int program = connect();
  EXPECT_THAT(post(program, "invocation/x/response", ""), HasSubstr("403 Forbidden"));
  next(program);
  call(1, "ID1");
  heard(program);
  EXPECT_THAT(post(program, "invocation/x/response", ""), HasSubstr(R"("errorType":"InvalidRequestID")"));
  EXPECT_THAT(post(program, "init/error", "{}"), HasSubstr(R"("errorType":"InvalidStateTransition")"));
  EXPECT_THAT(post(program, "invocation/ID1/response", "1"), HasSubstr("202"));
  EXPECT_THAT(post(program, "invocation/ID1/response", "2"), HasSubstr("403 Forbidden"));
  EXPECT_EQ(outcome(1), "200 1");
  for (const char* path :
       {"invocation/ID1", "invocation//response", "invocation/a/b/c", "restore/next", ""}) {
    EXPECT_THAT(post(program, path, ""), StartsWith("HTTP/1.1 40")) << path;
  }
}

TEST_F(RuntimeApiTest, TwoAnswersAtOnceAreOne) {
  const int program = connect();
  const int other = connect();
  next(program);
  call(1, "ID1");
  heard(program);
  EXPECT_EQ(stream(program, "invocation/ID1/response", chunk("a")), "");
  EXPECT_THAT(post(other, "invocation/ID1/response", "2"), HasSubstr("400 Bad Request"));
  EXPECT_THAT(post(other, "invocation/ID1/error", "2"), HasSubstr("400 Bad Request"));
  EXPECT_THAT(ask(program, chunk("b") + "0\r\n\r\n"), HasSubstr("202"));
  EXPECT_EQ(outcome(1), "200 ab");
}

TEST_F(RuntimeApiTest, AnErrorIsRaised) {
  const int program = connect();
  next(program);
  call(1, "ID1");
  heard(program);
  EXPECT_THAT(post(program, "invocation/ID1/error", R"({"errorType": "Odd", "errorMessage": "no"})"),
              HasSubstr("202"));
  EXPECT_EQ(outcome(1), "failed 1 Odd: no");
}

TEST_F(RuntimeApiTest, AnErrorOfTheStartIsHeard) {
  EXPECT_THAT(post(connect(), "init/error", R"({"errorMessage": "no handler"})",
                   "Lambda-Runtime-Function-Error-Type: Runtime.Gone\r\n"),
              HasSubstr("202"));
  EXPECT_EQ(init_error_, "Runtime.Gone: no handler");
}

TEST_F(RuntimeApiTest, AStreamRestsWhileItsWindowIsShut) {
  const int program = connect();
  next(program);
  call(1, "ID1");
  heard(program);
  stream(program, "invocation/ID1/response", "");
  const std::string part(64 << 10, 'x');
  for (int i = 0; i < 6; ++i) ask(program, chunk(part));
  ask(program, "0\r\n\r\n");
  EXPECT_EQ(outcome(1).size(), 4 + wire::kInitialWindow + 3);
  widen(1, 1000);
  EXPECT_EQ(outcome(1).size(), 4 + wire::kInitialWindow + 1000 + 3);
  widen(1, 1 << 20);
  turn();
  EXPECT_TRUE(outcome(1) == "200 " + std::string(6 * part.size(), 'x'));
  EXPECT_THAT(heard(program), HasSubstr("202"));
}

TEST_F(RuntimeApiTest, AWholeAnswerIsSentAsTheWindowAllows) {
  const int program = connect();
  next(program);
  call(1, "ID1");
  heard(program);
  const std::string body = "\"" + std::string(600'000, 'x') + "\"";
  ask(program,
      "POST /2018-06-01/runtime/invocation/ID1/response HTTP/1.1\r\nHost: x\r\nContent-Length: "
      "600002\r\n\r\n");
  for (std::size_t at = 0; at < body.size(); at += 60'000) ask(program, body.substr(at, 60'000));
  EXPECT_EQ(outcome(1).size(), 4 + wire::kInitialWindow + 3);
  EXPECT_EQ(next(program), "");  // it may go on meanwhile
  widen(1, 100'000);
  widen(1, 1 << 20);
  EXPECT_TRUE(outcome(1) == "200 " + body);
}

TEST_F(RuntimeApiTest, AStreamWithAPreludeThatIsNoneIsRefused) {
  const int program = connect();
  next(program);
  call(1, "ID1");
  heard(program);
  stream(program, "invocation/ID1/response", chunk("x") + chunk(std::string(8, '\0')), kPreludeType);
  EXPECT_THAT(outcome(1), StartsWith("failed 2 what stands before"));
  EXPECT_THAT(ask(program, chunk("more") + "0\r\n\r\n"), HasSubstr("400 Bad Request"));
  next(program);
  call(2, "ID2");
  EXPECT_THAT(heard(program), HasSubstr("ID2"));
  EXPECT_THAT(stream(program, "invocation/ID2/response", "0\r\n\r\n", kPreludeType), HasSubstr("202"));
  EXPECT_THAT(outcome(2), StartsWith("failed 2 the stream ended before"));
}

TEST_F(RuntimeApiTest, TrailersTellAnError) {
  const int program = connect();
  next(program);
  call(1, "ID1");
  heard(program);
  EXPECT_THAT(
      stream(program, "invocation/ID1/response",
             chunk("part") +
                 "0\r\nLambda-Runtime-Function-Error-Type: Late\r\nLambda-Runtime-Function-Error-Body: "
                 "eyJlcnJvck1lc3NhZ2UiOiJubyJ9\r\n\r\n"),
      HasSubstr("202"));
  EXPECT_EQ(outcome(1), "200 partfailed 1 Late: no");
}

TEST_F(RuntimeApiTest, AnAnswerThatIsTooLargeIsReadToItsEnd) {
  const int program = connect();
  next(program);
  call(1, "ID1");
  heard(program);
  ask(program,
      fmt::format("POST /2018-06-01/runtime/invocation/ID1/response HTTP/1.1\r\nHost: x\r\nContent-Length: "
                  "{}\r\n\r\n",
                  kMaxAnswerBytes + 1));
  EXPECT_THAT(outcome(1), StartsWith("failed 2 it is larger than 16 MiB"));
  const std::string part(64 << 10, 'x');
  for (std::size_t sent = 0; sent < kMaxAnswerBytes; sent += part.size()) EXPECT_EQ(ask(program, part), "");
  EXPECT_THAT(ask(program, "x"), HasSubstr("413 Content Too Large"));
  next(program);
  call(2, "ID2");
  EXPECT_THAT(heard(program), HasSubstr("ID2"));
}

TEST_F(RuntimeApiTest, AConnectionThatEndsBeforeItsInvocationLeavesItToTheNext) {
  const int program = connect();
  next(program);
  programs_.back().reset();
  const int other = connect();
  call(1, "ID1");
  EXPECT_THAT(next(other), HasSubstr("ID1"));
}

TEST_F(RuntimeApiTest, AnAnswerThatBreaksOffFailsAfterAMoment) {
  const int program = connect();
  next(program);
  call(1, "ID1");
  heard(program);
  stream(program, "invocation/ID1/response", chunk("half"));
  programs_.back().reset();
  turn();
  EXPECT_EQ(outcome(1), "200 half...");
  clock_.advance(std::chrono::milliseconds(51));
  turn();
  EXPECT_THAT(outcome(1), HasSubstr("failed 2 its connection"));
}

TEST_F(RuntimeApiTest, ACancelledCallEndsWithItsAnswer) {
  const int program = connect();
  next(program);
  call(1, "ID1");
  heard(program);
  cancel(1);
  EXPECT_EQ(outcome(1), "");
  const std::string part(64 << 10, 'x');
  stream(program, "invocation/ID1/response", "");
  for (int i = 0; i < 10; ++i) ask(program, chunk(part));  // more than a window
  EXPECT_THAT(ask(program, "0\r\n\r\n"), HasSubstr("202"));
  EXPECT_EQ(outcome(1), "failed 3 cancelled");
}

TEST_F(RuntimeApiTest, PipelinedRequestsAreAnsweredInTurn) {
  const int program = connect();
  next(program);
  call(1, "ID1");
  heard(program);
  call(2, "ID2");
  const std::string text =
      "POST /2018-06-01/runtime/invocation/ID1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1"
      "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /2018-06-01/runtime/nothing HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string told = ask(program, text);
  EXPECT_THAT(told, HasSubstr("202 Accepted"));
  EXPECT_LT(told.find("ID2"), told.find("404 Not Found"));
}

TEST_F(RuntimeApiTest, SlowRequestsAreTakenByteByByte) {
  const int program = connect();
  const std::string text =
      "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n";
  for (const char c : text) EXPECT_EQ(ask(program, std::string_view(&c, 1)), "");
  call(1, "ID1");
  EXPECT_THAT(heard(program), HasSubstr("ID1"));
}

TEST_F(RuntimeApiTest, ConnectionCloseIsHonoured) {
  const int program = connect();
  ask(program, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  call(1, "ID1");
  EXPECT_THAT(heard(program), HasSubstr("Connection: close\r\n"));
  EXPECT_EQ(closed_, 1);
  EXPECT_THAT(post(connect(), "invocation/ID1/response", "1"), HasSubstr("202"));
}

TEST_F(RuntimeApiTest, WhatIsNoHttpIsCutOff) {
  for (const std::string& text :
       {std::string("\0\xff\r\n", 4), std::string("GET / HTTP/1.1\nHost: x\n\n"), std::string(1'200'000, 'a'),
        std::string("GET / HTTP/1.1\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")}) {
    const int before = closed_;
    EXPECT_THAT(ask(connect(), text), StartsWith("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"))
        << text.substr(0, 20);
    EXPECT_EQ(closed_, before + 1);
  }
}

}  // namespace
}  // namespace sterna::native
