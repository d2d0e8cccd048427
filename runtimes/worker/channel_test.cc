#include "worker/channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <vector>

#include "worker/testing/open_channel.h"

namespace sterna::worker {
namespace {

// Counts how often the channel gave its lock away.
class CountingGuard final : public Guard {
 public:
  int pauses = 0;
  bool held = true;

 private:
  void* pause() override {
    EXPECT_TRUE(held);
    held = false;
    ++pauses;
    return this;
  }
  void resume(void* state) override {
    EXPECT_EQ(state, this);
    held = true;
  }
  int enter() override { return 0; }
  void leave(int) override {}
};

class ChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_channel(guard_);
    channel_ = std::move(opened.channel);
    server_ = std::move(opened.server);
  }

  // What the worker has sent, cut into frames; payloads live until the next call.
  std::vector<wire::Frame> sent() {
    char* const into = reader_.prepare(1 << 20);
    const ssize_t got = ::recv(server_.get(), into, reader_.writable(), MSG_DONTWAIT);
    if (got > 0) reader_.commit(static_cast<std::size_t>(got));
    std::vector<wire::Frame> frames;
    for (auto next = reader_.next(); next && *next; next = reader_.next()) frames.push_back(**next);
    return frames;
  }

  CountingGuard guard_;
  UniqueFd server_;
  std::unique_ptr<Channel> channel_;
  wire::FrameReader reader_;
};

TEST_F(ChannelTest, AClaimedCallIsStartedAndOneTakenBackIsRecalled) {
  channel_->claims().set(3, wire::Claim::kQueued);
  channel_->claims().set(4, wire::Claim::kRecalled);
  EXPECT_TRUE(channel_->claim(3, 30));
  EXPECT_EQ(channel_->claims().get(3), wire::Claim::kStarted);
  EXPECT_FALSE(channel_->claim(4, 40));
  channel_->flush();
  const auto frames = sent();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].type, wire::FrameType::kRecalled);
  EXPECT_EQ(frames[0].call, 40U);
}

TEST_F(ChannelTest, AFailedCallsUnfinishedLineComesBeforeItsEnd) {
  channel_->log(9, wire::Stream::kStderr, "half a line");
  EXPECT_TRUE(sent().empty());
  channel_->fail_call(1, 9, {.kind = wire::FailKind::kRaised, .run_ns = 5, .text = "no"});
  channel_->flush();
  const auto frames = sent();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].type, wire::FrameType::kLog);
  EXPECT_EQ(frames[0].payload.substr(1), "half a line\n");
  EXPECT_EQ(frames[1].type, wire::FrameType::kFailed);
}

TEST_F(ChannelTest, OnlyAWaitGivesTheGuardAway) {
  EXPECT_EQ(channel_->fill(Wait::kNo), Channel::Filled::kNothing);
  EXPECT_EQ(guard_.pauses, 0);
  std::string shutdown;
  wire::append_frame(shutdown, wire::FrameType::kShutdown, wire::More::kNo, 0, 0, {});
  ASSERT_EQ(::send(server_.get(), shutdown.data(), shutdown.size(), 0),
            static_cast<ssize_t>(shutdown.size()));
  EXPECT_EQ(channel_->fill(Wait::kYes), Channel::Filled::kBytes);
  EXPECT_EQ(guard_.pauses, 1);
  EXPECT_TRUE(guard_.held);
}

TEST_F(ChannelTest, ClosesWhenTheServerIsGone) {
  server_.reset();
  EXPECT_EQ(channel_->fill(Wait::kYes), Channel::Filled::kEnd);
  EXPECT_TRUE(channel_->closed());
  channel_->claims().set(1, wire::Claim::kQueued);
  EXPECT_FALSE(channel_->claim(1, 1));  // nobody would hear of the run
}

}  // namespace
}  // namespace sterna::worker
