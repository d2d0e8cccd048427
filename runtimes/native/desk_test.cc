// Bodies that come while their call runs, as a template sees them.
#include "native/desk.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "worker/guard.h"
#include "worker/testing/open_channel.h"

namespace sterna::native {
namespace {

using wire::FrameType;
using wire::More;

// Notes what it is told; the test takes the body.
class NotingRun final : public Run {
 public:
  explicit NotingRun(Exchange& exchange) : exchange_(exchange) {}
  void cancel() override { exchange_.fail(wire::FailKind::kCancelled, "cancelled"); }
  void on_window() override {}
  void on_body() override { ++told; }
  int told = 0;

 private:
  Exchange& exchange_;
};

class DeskTest : public ::testing::Test, public RunMaker {
 protected:
  void SetUp() override {
    auto opened = worker::open_channel(guard_);
    channel_ = std::move(opened.channel);
    server_ = std::move(opened.server);
    channel_->inbox().pass_parts();
    desk_ = std::make_unique<Desk>(loop_, *channel_, 1, *this);
    ASSERT_TRUE(desk_->open("test", false));
    turn();
    frames_.clear();
  }

  std::unique_ptr<native::Run> start(Exchange& exchange) override {
    exchange_ = &exchange;
    auto run = std::make_unique<NotingRun>(exchange);
    run_ = run.get();
    return run;
  }
  void leave() override {}

  void turn() {
    for (int i = 0; i < 4; ++i) loop_.turn(Duration::zero());
    char* const into = reader_.prepare(1 << 20);
    const ssize_t got = ::recv(server_.get(), into, reader_.writable(), MSG_DONTWAIT);
    if (got > 0) reader_.commit(static_cast<std::size_t>(got));
    for (auto next = reader_.next(); next && *next; next = reader_.next()) {
      frames_.push_back((*next)->type);
      if ((*next)->type != FrameType::kRequestWindow) continue;
      std::uint32_t bytes = 0;
      EXPECT_TRUE(wire::read_window((*next)->payload, bytes));
      granted_ += bytes;
    }
  }
  void send(FrameType type, More more, std::uint64_t call, std::string_view payload) {
    std::string frame;
    wire::append_frame(frame, type, more, static_cast<std::uint16_t>(call), call, payload);
    ASSERT_EQ(::send(server_.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
    turn();
  }
  void request(std::uint64_t call, std::string_view body, More more, std::string_view length = {}) {
    std::string headers;
    if (!length.empty()) wire::append_header(headers, "content-length", length);
    std::string payload;
    wire::append_request(payload,
                         {.method = "POST",
                          .path = "/",
                          .query = "",
                          .header_count = length.empty() ? 0U : 1U,
                          .headers = headers},
                         body);
    channel_->claims().set(static_cast<std::uint16_t>(call), wire::Claim::kQueued);
    send(FrameType::kRequest, more, call, payload);
  }
  bool has_sent(FrameType type) const { return std::ranges::find(frames_, type) != frames_.end(); }

  worker::NoGuard guard_;
  SystemClock clock_;
  net::Loop loop_{clock_};
  UniqueFd server_;
  std::unique_ptr<worker::Channel> channel_;
  std::unique_ptr<Desk> desk_;
  wire::FrameReader reader_;
  std::vector<FrameType> frames_;  // from the worker
  std::uint64_t granted_ = 0;
  Exchange* exchange_ = nullptr;  // of the last call that began
  NotingRun* run_ = nullptr;
};

TEST_F(DeskTest, ACallBeginsBeforeItsBodyIsWhole) {
  request(1, "one ", More::kYes);
  ASSERT_NE(exchange_, nullptr);
  EXPECT_TRUE(exchange_->body_came_in_parts());
  EXPECT_EQ(exchange_->announced_length(), std::nullopt);
  EXPECT_EQ(exchange_->body(), "one ");
  EXPECT_FALSE(exchange_->body_is_whole());
  send(FrameType::kRequestBody, More::kYes, 1, "two ");
  EXPECT_EQ(run_->told, 1);
  EXPECT_EQ(exchange_->body(), "one ");
  exchange_->take_body(2);
  EXPECT_EQ(exchange_->body(), "e ");
  send(FrameType::kRequestBody, More::kNo, 1, "three");
  EXPECT_FALSE(exchange_->body_is_whole());  // what is left stands in two pieces
  exchange_->take_body(2);
  EXPECT_EQ(exchange_->body(), "two three");
  EXPECT_TRUE(exchange_->body_is_whole());
  exchange_->take_body(9);
  EXPECT_EQ(exchange_->body(), "");
  EXPECT_TRUE(exchange_->body_is_whole());
}

TEST_F(DeskTest, AWholeBodyIsOne) {
  request(1, "all", More::kNo, "3");
  ASSERT_NE(exchange_, nullptr);
  EXPECT_FALSE(exchange_->body_came_in_parts());
  EXPECT_TRUE(exchange_->body_is_whole());
  EXPECT_EQ(exchange_->body(), "all");
}

TEST_F(DeskTest, TheCallersLengthIsTold) {
  request(1, "", More::kYes, "12");
  ASSERT_NE(exchange_, nullptr);
  EXPECT_EQ(exchange_->announced_length(), 12U);
}

TEST_F(DeskTest, TheWindowOpensAsTheBodyIsTaken) {
  const std::string part(20'000, 'x');
  request(1, part, More::kYes);
  send(FrameType::kRequestBody, More::kYes, 1, part);
  ASSERT_NE(exchange_, nullptr);
  exchange_->take_body(part.size());
  turn();
  EXPECT_EQ(granted_, 0U);  // small pieces wait for more
  exchange_->take_body(part.size());
  turn();
  EXPECT_EQ(granted_, 2 * part.size());
}

TEST_F(DeskTest, OfABodyThatIsThereNoWindowIsOpened) {
  request(1, std::string(100'000, 'x'), More::kYes);
  send(FrameType::kRequestBody, More::kNo, 1, "");
  ASSERT_NE(exchange_, nullptr);
  exchange_->take_body(100'000);
  turn();
  EXPECT_FALSE(has_sent(FrameType::kRequestWindow));
}

TEST_F(DeskTest, WhatComesForACallThatWaitsIsThereWhenItBegins) {
  request(1, "", More::kNo);
  Exchange* const first = exchange_;
  request(2, "one ", More::kYes);
  send(FrameType::kRequestBody, More::kNo, 2, "two");
  EXPECT_EQ(exchange_, first);
  first->fail(wire::FailKind::kRaised, "");
  turn();
  ASSERT_EQ(exchange_->call(), 2U);
  EXPECT_EQ(exchange_->body(), "one two");
  EXPECT_TRUE(exchange_->body_is_whole());
}

TEST_F(DeskTest, ACallThatIsTakenBackIsDropped) {
  request(1, "", More::kNo);
  Exchange* const first = exchange_;
  request(2, "one ", More::kYes);
  ASSERT_TRUE(channel_->claims().swap_from_queued(2, wire::Claim::kRecalled));
  send(FrameType::kRequestBody, More::kNo, 2, "");
  first->fail(wire::FailKind::kRaised, "");
  turn();
  EXPECT_EQ(desk_->running(), 0U);
  EXPECT_TRUE(has_sent(FrameType::kRecalled));
}

TEST_F(DeskTest, WhatComesForACallThatHasEndedIsDropped) {
  request(1, "one ", More::kYes);
  ASSERT_NE(exchange_, nullptr);
  exchange_->respond(200, 0, "", 0, "", More::kNo);
  exchange_->take_body(4);
  turn();
  EXPECT_EQ(desk_->running(), 0U);
  send(FrameType::kRequestBody, More::kYes, 1, "two");
  request(2, "", More::kNo);
  EXPECT_EQ(desk_->running(), 1U);
  EXPECT_FALSE(has_sent(FrameType::kRequestWindow));
}

TEST_F(DeskTest, ACancelInTheMidstOfABodyEndsTheCall) {
  request(1, "one ", More::kYes);
  send(FrameType::kCancel, More::kNo, 1, "");
  EXPECT_TRUE(has_sent(FrameType::kFailed));
  EXPECT_EQ(desk_->running(), 0U);
}

}  // namespace
}  // namespace sterna::native
