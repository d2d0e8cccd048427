#include "native/http/http_run.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "worker/guard.h"
#include "worker/testing/open_channel.h"

namespace sterna::native {
namespace {

using std::chrono::milliseconds;
using wire::FrameType;
using wire::More;

// A call whose server, and whose caller, is the test; on a clock that stands still.
class HttpRunTest : public ::testing::Test, public RunMaker {
 protected:
  void SetUp() override {
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::unlink(path_.c_str());
    const Target target = Target::unix_socket(path_);
    ASSERT_EQ(::bind(listener_.get(), target.address(), target.size()), 0);
    ASSERT_EQ(::listen(listener_.get(), 1), 0);
    auto opened = worker::open_channel(guard_);
    channel_ = std::move(opened.channel);
    caller_ = std::move(opened.server);
    channel_->inbox().pass_parts();
    upstream_ = std::make_unique<Upstream>(loop_, target);
    desk_ = std::make_unique<Desk>(loop_, *channel_, 1, *this);
    ASSERT_TRUE(desk_->open("test", true));
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  std::unique_ptr<native::Run> start(Exchange& exchange) override {
    auto run = std::make_unique<HttpRun>(exchange, *upstream_);
    run->begin();
    return run;
  }
  void leave() override {}

  void send(FrameType type, More more, std::string_view payload) {
    std::string frame;
    wire::append_frame(frame, type, more, 1, 1, payload);
    ASSERT_EQ(::send(caller_.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  void request(More more) {
    std::string payload;
    wire::append_request(payload,
                         {.method = "POST", .path = "/", .query = "", .header_count = 0, .headers = {}}, "");
    channel_->claims().set(1, wire::Claim::kQueued);
    send(FrameType::kRequest, more, payload);
    loop_.turn(Duration::zero());
  }
  // How many FAILED frames the caller has got.
  int failures() {
    char* const into = reader_.prepare(1 << 16);
    const ssize_t got = ::recv(caller_.get(), into, reader_.writable(), MSG_DONTWAIT);
    if (got > 0) reader_.commit(static_cast<std::size_t>(got));
    for (auto next = reader_.next(); next && *next; next = reader_.next())
      failures_ += (*next)->type == FrameType::kFailed ? 1 : 0;
    return failures_;
  }

  const std::string path_ = ::testing::TempDir() + "http_run_" + std::to_string(::getpid());
  worker::NoGuard guard_;
  ManualClock clock_;
  net::Loop loop_{clock_};
  UniqueFd listener_;
  UniqueFd caller_;
  std::unique_ptr<worker::Channel> channel_;
  std::unique_ptr<Upstream> upstream_;
  std::unique_ptr<Desk> desk_;
  wire::FrameReader reader_;
  int failures_ = 0;
};

TEST_F(HttpRunTest, ACallThatIsCancelledInTheTurnInWhichItWouldFailFailsOnce) {
  request(More::kYes);
  UniqueFd served(::accept(listener_.get(), nullptr, nullptr));
  ASSERT_TRUE(served);
  served.reset();  // without an answer: whether the process ends is waited for
  for (int i = 0; i < 3; ++i) loop_.turn(Duration::zero());
  ASSERT_EQ(failures(), 0);
  clock_.advance(milliseconds(50));
  send(FrameType::kCancel, More::kNo, {});
  loop_.turn(Duration::zero());
  EXPECT_EQ(failures(), 1);
}

}  // namespace
}  // namespace sterna::native
