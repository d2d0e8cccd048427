// A pool on a clock that stands still, with workers that the test plays.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "pool/function_pool.h"
#include "pool/testing/fake_launcher.h"

namespace sterna::pool::testing {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A call and all that its caller hears.
class TestCall final : public CallObserver {
 public:
  Call call;
  std::string body;
  bool answered = false;
  bool ended = false;
  std::optional<Failure> failure;
  std::string detail;

  void on_response(Call&, const wire::ResponseHead&, std::string_view part, wire::More more) override {
    EXPECT_FALSE(answered || ended);
    answered = true;
    take(part, more);
  }
  void on_body(Call&, std::string_view part, wire::More more) override {
    EXPECT_TRUE(answered && !ended);
    take(part, more);
  }
  void on_failed(Call&, Failure why, std::string_view text) override {
    EXPECT_FALSE(ended);
    ended = true;
    failure = why;
    detail = text;
  }

 private:
  void take(std::string_view part, wire::More more) {
    body += part;
    ended = more == wire::More::kNo;
  }
};

class PoolRecord final : public PoolObserver {
 public:
  struct Line {
    std::string stream, call_id, text;
  };
  std::vector<Line> lines;
  int loaded = 0;
  std::vector<std::string> broken;
  Duration retry_after{};

  void on_log(const FunctionConfig&, std::string_view, std::string_view stream, std::string_view call_id,
              std::string_view text) override {
    lines.push_back({std::string(stream), std::string(call_id), std::string(text)});
  }
  void on_loaded(const FunctionConfig&, bool, std::string_view) override { ++loaded; }
  void on_broken(const FunctionConfig&, const std::string& reason, Duration pause) override {
    broken.push_back(reason);
    retry_after = pause;
  }
  bool logged(std::string_view text) const {
    for (const Line& line : lines) {
      if (line.text.find(text) != std::string::npos) return true;
    }
    return false;
  }
};

class PoolTest : public ::testing::Test {
 protected:
  PoolTest() { config_.proven = true; }
  ~PoolTest() override {
    if (pool_) pool_->close(nullptr, FunctionPool::Leave::kNow);
    launcher_.exit_all();
    settle();
  }

  FunctionPool& pool() {
    if (!pool_) pool_ = std::make_unique<FunctionPool>(context_, config_);
    return *pool_;
  }
  FakeWorker& worker(std::size_t index) { return launcher_.worker(index); }

  // Socket pairs deliver at once: a few turns carry everything to where it goes.
  void settle() {
    for (int i = 0; i < 4; ++i) loop_.turn(Duration::zero());
  }
  // Lets time pass and the pool look at it.
  void pass(Duration time) {
    clock_.advance(time);
    settle();
    pool().tick(loop_.now());
    settle();
  }
  TestCall& submit(const net::Body* body = nullptr) { return submit_to(pool(), body); }
  TestCall& submit_to(FunctionPool& to, const net::Body* body = nullptr) {
    TestCall& made = calls_.emplace_back();
    made.call.observer = &made;
    made.call.id = "call-" + std::to_string(calls_.size());
    wire::append_request(made.call.request, {.method = "POST", .path = "/", .query = {}, .headers = {}}, {});
    made.call.body = body;
    made.call.arrived = loop_.now();
    to.submit(made.call);
    settle();
    return made;
  }
  // The one REQUEST that the worker has got since it was last asked.
  OwnedFrame request(FakeWorker& of) {
    const auto frames = of.receive(wire::FrameType::kRequest);
    EXPECT_EQ(frames.size(), 1U);
    return frames.empty() ? OwnedFrame{} : frames.front();
  }
  // A first worker that is ready, and known to answer quickly.
  FakeWorker& warm(bool async = false) {
    const TestCall& first = submit();
    FakeWorker& made = worker(0);
    made.ready(async);
    made.respond(request(made), "warm", microseconds(100));
    settle();
    EXPECT_EQ(first.body, "warm");
    return made;
  }

  ManualClock clock_;
  net::Loop loop_{clock_};
  UlidGenerator ids_{clock_};
  FakeLauncher launcher_;
  PoolRecord record_;
  // There is always a core for another worker.
  PoolContext context_{
      .loop = loop_, .launcher = launcher_, .observer = record_, .ids = ids_, .limits = {.cores = 64}};
  FunctionConfig config_;
  std::deque<TestCall> calls_;
  std::unique_ptr<FunctionPool> pool_;
};

}  // namespace sterna::pool::testing
