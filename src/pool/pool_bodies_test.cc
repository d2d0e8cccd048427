// Request bodies that go to the worker while they come.
#include "pool/testing/pool_fixture.h"

namespace sterna::pool {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using wire::FrameType;
using wire::More;

class PoolBodyTest : public PoolTest {
 protected:
  PoolBodyTest() { config_.request_buffering = false; }
  ~PoolBodyTest() override {  // before the body
    if (pool_) pool_->close(nullptr, FunctionPool::Leave::kNow);
  }

  // A call whose body still comes.
  TestCall& submit_open() {
    TestCall& made = calls_.emplace_back();
    made.call.observer = &made;
    made.call.id = "open";
    wire::append_request(made.call.request, {.method = "POST", .path = "/", .query = {}, .headers = {}}, {});
    made.call.body = &body_;
    made.call.body_more = More::kYes;
    made.call.arrived = loop_.now();
    pool().submit(made.call);
    settle();
    return made;
  }
  void grow(TestCall& call, std::string_view part, More more = More::kYes) {
    ASSERT_TRUE(body_.append(part));
    call.call.body_grew(more);
    settle();
  }
  // The bytes of the BODY frames that have come; the flag of the last one.
  std::string parts(FakeWorker& of, More& more) {
    std::string bytes;
    for (const OwnedFrame& frame : of.receive(FrameType::kRequestBody)) {
      bytes += frame.payload;
      more = frame.more;
    }
    return bytes;
  }
  static void grant(FakeWorker& of, const OwnedFrame& run, std::uint32_t bytes) {
    std::string payload;
    wire::append_window(payload, bytes);
    of.send(FrameType::kRequestWindow, More::kNo, run.slot, run.call, payload);
  }

  net::BodyBudget budget_;
  net::Body body_{budget_};
};

TEST_F(PoolBodyTest, WorkersAreToldThatBodiesComeInParts) {
  warm();
  EXPECT_FALSE(worker(0).config().request_buffering);
}

TEST_F(PoolBodyTest, EachPartIsAFrameAndTheEndHasNoMore) {
  FakeWorker& one = warm();
  TestCall& call = submit_open();
  const OwnedFrame run = request(one);
  EXPECT_EQ(run.more, More::kYes);
  EXPECT_EQ(run.payload, call.call.request);
  for (const char* part : {"a", "b"}) {
    grow(call, part);
    const auto frames = one.receive(FrameType::kRequestBody);
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0].payload, part);
    EXPECT_EQ(frames[0].more, More::kYes);
  }
  call.call.body_grew(More::kNo);
  settle();
  const auto last = one.receive(FrameType::kRequestBody);
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].payload, "");
  EXPECT_EQ(last[0].more, More::kNo);
  one.respond(run, "thanks", microseconds(1));
  settle();
  EXPECT_EQ(call.body, "thanks");
}

TEST_F(PoolBodyTest, WhatGrewWhileTheCallWaitedGoesWithIt) {
  TestCall& call = submit_open();
  grow(call, "in line");
  FakeWorker& one = worker(0);
  one.ready();
  settle();
  const auto frames = one.receive();
  std::string bytes;
  for (const OwnedFrame& frame : frames) {
    if (frame.type == FrameType::kRequest || frame.type == FrameType::kRequestBody) bytes += frame.payload;
  }
  EXPECT_EQ(bytes, call.call.request + "in line");
}

TEST_F(PoolBodyTest, NoMoreIsSentThanTheWindowAllows) {
  FakeWorker& one = warm();
  TestCall& call = submit_open();
  const OwnedFrame run = request(one);
  one.begin(run);
  More more = More::kYes;
  grow(call, std::string(wire::kInitialWindow + 10, 'x'), More::kNo);
  EXPECT_EQ(parts(one, more).size(), wire::kInitialWindow);
  EXPECT_EQ(more, More::kYes);
  grant(one, run, 4);
  settle();
  EXPECT_EQ(parts(one, more).size(), 4U);
  EXPECT_EQ(more, More::kYes);
  grant(one, run, 100);
  settle();
  EXPECT_EQ(parts(one, more).size(), 6U);
  EXPECT_EQ(more, More::kNo);
  one.respond(run, "", microseconds(1));
  settle();
  EXPECT_TRUE(call.ended);
}

TEST_F(PoolBodyTest, OneWithoutAWindowDoesNotHoldUpTheOthers) {
  config_.concurrency = 2;
  FakeWorker& one = warm(true);
  TestCall& stuck = submit_open();
  one.begin(request(one));
  grow(stuck, std::string(wire::kInitialWindow + 10, 'x'));
  one.receive();
  net::Body small(budget_);
  ASSERT_TRUE(small.append(std::string(300U << 10, 'y')));
  TestCall& other = submit(&small);
  const auto frames = one.receive();
  ASSERT_FALSE(frames.empty());
  EXPECT_EQ(frames.front().type, FrameType::kRequest);
  std::size_t bytes = 0;
  for (const OwnedFrame& frame : frames) {
    if (frame.type == FrameType::kRequestBody) bytes += frame.payload.size();
  }
  EXPECT_EQ(bytes, wire::kInitialWindow);
  other.call.cancel();
  stuck.call.cancel();
  settle();
}

TEST_F(PoolBodyTest, AWindowFromAWorkerThatGathersBodiesBreaksARule) {
  config_.request_buffering = true;
  FakeWorker& one = warm();
  submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  grant(one, run, 1);
  settle();
  EXPECT_TRUE(one.killed());
  EXPECT_TRUE(record_.logged("has no window"));
}

TEST_F(PoolBodyTest, ACancelledCallIsNotToldAnEndOfItsBody) {
  FakeWorker& one = warm();
  TestCall& call = submit_open();
  const OwnedFrame run = request(one);
  one.begin(run);
  grow(call, "half");
  one.receive();
  call.call.cancel();
  settle();
  const auto frames = one.receive();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].type, FrameType::kCancel);
  grant(one, run, 4);  // on its way meanwhile: not taken for the call's end
  settle();
  EXPECT_EQ(pool().running(), 1U);
  one.fail(run, wire::FailKind::kCancelled, "");
  settle();
  EXPECT_EQ(pool().running(), 0U);
  EXPECT_FALSE(one.killed());
}

TEST_F(PoolBodyTest, ACallThatIsTakenBackGoesToAnotherFromItsFirstByte) {
  TestCall& call = submit_open();
  grow(call, "first ");
  FakeWorker& one = worker(0);
  one.exit(exit_code(1));  // before any code ran for it
  settle();
  pass(seconds(1));
  ASSERT_EQ(launcher_.started(), 2U);
  FakeWorker& two = worker(1);
  two.ready();
  settle();
  const OwnedFrame run = request(two);
  EXPECT_EQ(run.payload, call.call.request + "first ");
  grow(call, "second", More::kNo);
  More more = More::kYes;
  EXPECT_EQ(parts(two, more), "second");
  EXPECT_EQ(more, More::kNo);
  two.respond(run, "ok", microseconds(1));
  settle();
  EXPECT_EQ(call.body, "ok");
}

TEST_F(PoolBodyTest, AnAnswerBeforeTheWholeBodyEndsTheCall) {
  FakeWorker& one = warm();
  TestCall& call = submit_open();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.respond(run, "enough", microseconds(1));
  settle();
  EXPECT_EQ(call.body, "enough");
  EXPECT_FALSE(call.call.pending());
  const TestCall& next = submit();
  one.respond(request(one), "next", microseconds(1));
  settle();
  EXPECT_EQ(next.body, "next");
}

TEST_F(PoolBodyTest, TheTimeOfARunBeginsWithTheWholeBody) {
  config_.timeout = seconds(3);
  FakeWorker& one = warm();
  TestCall& call = submit_open();
  one.begin(request(one));
  pass(seconds(60));
  EXPECT_FALSE(call.ended);
  grow(call, "all", More::kNo);
  pass(seconds(3) - milliseconds(1));
  EXPECT_FALSE(call.ended);
  pass(milliseconds(1));
  EXPECT_EQ(call.failure, Failure::kTimeout);
}

TEST_F(PoolBodyTest, OrWithTheFirstOfTheAnswer) {
  config_.timeout = seconds(3);
  FakeWorker& one = warm();
  TestCall& call = submit_open();
  const OwnedFrame run = request(one);
  one.begin(run);
  pass(seconds(60));
  one.respond(run, "begun", microseconds(1), More::kYes);
  settle();
  pass(seconds(2));
  grow(call, "all", More::kNo);
  EXPECT_FALSE(call.ended);
  pass(seconds(1));
  EXPECT_EQ(call.failure, Failure::kTimeout);
}

TEST_F(PoolBodyTest, AWorkerThatLeavesHasTheTimeThatItsCallHas) {
  config_.timeout = seconds(3);
  FakeWorker& one = warm();
  TestCall& call = submit_open();
  const OwnedFrame run = request(one);
  one.begin(run);
  pool().close(nullptr, FunctionPool::Leave::kAfterCalls);
  pass(seconds(60));
  grow(call, "all", More::kNo);
  pass(seconds(2));
  EXPECT_FALSE(one.killed());
  EXPECT_FALSE(call.ended);
  one.respond(run, "thanks", microseconds(1));
  settle();
  EXPECT_EQ(call.body, "thanks");
  pass(seconds(10));
  EXPECT_TRUE(one.killed());  // it has not left
}

// Of a version whose workers gather bodies: it has taken no call because none is whole.
TEST_F(PoolBodyTest, AWorkerThatWaitsForABodyDoesNotHang) {
  config_.request_buffering = true;
  FakeWorker& one = warm();
  TestCall& call = submit_open();
  EXPECT_EQ(request(one).more, More::kYes);
  pass(seconds(30));
  EXPECT_FALSE(one.killed());
  grow(call, "all", More::kNo);
  pass(seconds(30));
  EXPECT_TRUE(one.killed());
}

}  // namespace
}  // namespace sterna::pool
