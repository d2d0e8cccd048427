// What workers send, and what becomes of those that break the rules.
#include "pool/testing/pool_fixture.h"
#include "pool/testing/sent_descriptors.h"

namespace sterna::pool {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using wire::FrameType;
using wire::More;

constexpr std::uint32_t kStep = 32U << 10;  // the least that a WINDOW grants

TEST_F(PoolTest, BadHeaderIsABadResponseAndTheWorkerGoesOn) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  one.respond(request(one), 200, {{"X", "a\r\nSet-Cookie: b"}}, {});
  settle();
  EXPECT_EQ(call.failure, Failure::kBadResponse);
  EXPECT_FALSE(call.answered);
  EXPECT_FALSE(one.killed());
  const TestCall& next = submit();
  one.respond(request(one), "ok", microseconds(1));
  settle();
  EXPECT_EQ(next.body, "ok");
}

TEST_F(PoolTest, BadHeaderOfAStreamEndsItsRun) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.respond(run, 200, {{"bad name", ""}}, {}, More::kYes);
  settle();
  EXPECT_EQ(call.failure, Failure::kBadResponse);
  EXPECT_FALSE(call.call.pending());
  EXPECT_EQ(one.receive(FrameType::kCancel).size(), 1U);
  one.send(FrameType::kResponseBody, More::kNo, run.slot, run.call, "rest");
  settle();
  EXPECT_EQ(pool().running(), 0U);
  EXPECT_FALSE(one.killed());
}

TEST_F(PoolTest, RaisedIsTold) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  one.fail(request(one), wire::FailKind::kRaised, "ValueError: no");
  settle();
  EXPECT_EQ(call.failure, Failure::kRaised);
  EXPECT_EQ(call.detail, "ValueError: no");
}

TEST_F(PoolTest, StreamComesInParts) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.respond(run, "a", microseconds(1), More::kYes);
  one.send(FrameType::kResponseBody, More::kYes, run.slot, run.call, "b");
  settle();
  EXPECT_EQ(call.body, "ab");
  EXPECT_FALSE(call.ended);
  call.call.grant(kStep - 1);
  settle();
  EXPECT_TRUE(one.receive(FrameType::kWindow).empty());  // small pieces wait for more
  call.call.grant(2);
  settle();
  const auto windows = one.receive(FrameType::kWindow);
  ASSERT_EQ(windows.size(), 1U);
  std::uint32_t bytes = 0;
  ASSERT_TRUE(wire::read_window(windows[0].payload, bytes));
  EXPECT_EQ(bytes, kStep + 1);
  one.send(FrameType::kResponseBody, More::kNo, run.slot, run.call, "c");
  settle();
  EXPECT_EQ(call.body, "abc");
  EXPECT_TRUE(call.ended);
}

TEST_F(PoolTest, StreamMayFillItsWindowAndNoMore) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.respond(run, std::string(wire::kInitialWindow, 'x'), microseconds(1), More::kYes);
  settle();
  EXPECT_EQ(call.body.size(), wire::kInitialWindow);
  call.call.grant(kStep);
  one.send(FrameType::kResponseBody, More::kYes, run.slot, run.call, std::string(kStep, 'y'));
  settle();
  EXPECT_FALSE(one.killed());
  one.send(FrameType::kResponseBody, More::kYes, run.slot, run.call, "z");
  settle();
  EXPECT_TRUE(one.killed());
  EXPECT_TRUE(record_.logged("beyond its window"));
  EXPECT_FALSE(call.ended);
  one.exit(exit_signal(9));
  EXPECT_EQ(call.failure, Failure::kWorkerDied);
}

// What a worker may not do: each is cut off, and its call fails.
TEST_F(PoolTest, BrokenRulesEndTheWorker) {
  using Misdeed = void (*)(FakeWorker&, const OwnedFrame&);
  const std::pair<const char*, Misdeed> misdeeds[] = {
      {"an answer too large",
       [](FakeWorker& w, const OwnedFrame& r) {
         w.respond(r, std::string(wire::kInitialWindow + 1, 'x'), microseconds(1));
       }},
      {"an answer with more than it announces",
       [](FakeWorker& w, const OwnedFrame& r) { w.announce(r, 2, "abc", More::kNo); }},
      {"one with fewer", [](FakeWorker& w, const OwnedFrame& r) { w.announce(r, 4, "abc", More::kNo); }},
      {"one for which there shall be none",
       [](FakeWorker& w, const OwnedFrame& r) { w.announce(r, 7, "", More::kNo, 204); }},
      {"a stream that goes on",
       [](FakeWorker& w, const OwnedFrame& r) {
         w.announce(r, 2, "ab", More::kYes);
         w.send(FrameType::kResponseBody, More::kYes, r.slot, r.call, "c");
       }},
      {"a stream that ends early",
       [](FakeWorker& w, const OwnedFrame& r) {
         w.announce(r, 4, "ab", More::kYes);
         w.send(FrameType::kResponseBody, More::kNo, r.slot, r.call, "c");
       }},
      {"an unknown call",
       [](FakeWorker& w, const OwnedFrame& r) {
         w.respond({.slot = r.slot, .call = r.call + 1000, .payload = {}}, "", microseconds(1));
       }},
      {"an unknown slot",
       [](FakeWorker& w, const OwnedFrame& r) {
         w.respond({.slot = 1023, .call = r.call, .payload = {}}, "", microseconds(1));
       }},
      {"no call at all",
       [](FakeWorker& w, const OwnedFrame&) { w.respond({.payload = {}}, "", microseconds(1)); }},
      {"two answers",
       [](FakeWorker& w, const OwnedFrame& r) {
         w.respond(r, "", microseconds(1), More::kYes);
         w.respond(r, "", microseconds(1), More::kYes);
       }},
      {"a body without an answer",
       [](FakeWorker& w, const OwnedFrame& r) {
         w.send(FrameType::kResponseBody, More::kYes, r.slot, r.call, "x");
       }},
      {"a frame of the server",
       [](FakeWorker& w, const OwnedFrame& r) { w.send(FrameType::kCancel, More::kNo, r.slot, r.call, {}); }},
      {"a call dropped that nobody took back",
       [](FakeWorker& w, const OwnedFrame& r) {
         w.send(FrameType::kRecalled, More::kNo, r.slot, r.call, {});
       }},
      {"a short RESPONSE",
       [](FakeWorker& w, const OwnedFrame& r) {
         w.send(FrameType::kResponse, More::kNo, r.slot, r.call, "x");
       }},
      {"a short FAILED",
       [](FakeWorker& w, const OwnedFrame& r) {
         w.send(FrameType::kFailed, More::kNo, r.slot, r.call, "x");
       }},
      {"an empty LOG",
       [](FakeWorker& w, const OwnedFrame& r) { w.send(FrameType::kLog, More::kNo, r.slot, r.call, ""); }},
      {"READY twice", [](FakeWorker& w, const OwnedFrame&) { w.ready(); }},
      {"READY that is no JSON",
       [](FakeWorker& w, const OwnedFrame&) { w.send(FrameType::kReady, More::kNo, 0, 0, "{"); }},
  };
  for (const auto& [what, misdeed] : misdeeds) {
    SCOPED_TRACE(what);
    const TestCall& call = submit();
    FakeWorker& bad = worker(launcher_.started() - 1);
    const OwnedFrame run = request(bad);
    bad.ready();
    settle();
    bad.begin(run);
    misdeed(bad, run);
    settle();
    EXPECT_TRUE(bad.killed());
    EXPECT_TRUE(record_.logged("broke the protocol"));
    EXPECT_FALSE(call.ended);  // the reason is known when the process has ended
    bad.exit(exit_signal(9));
    EXPECT_EQ(call.failure, Failure::kWorkerDied);
    record_.lines.clear();
    pool_->close(nullptr, FunctionPool::Leave::kNow);
    pool_.reset();
    settle();
  }
}

TEST_F(PoolTest, StreamsAreAsLongAsTheyAnnounce) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.announce(run, 3, "ab", More::kYes);
  one.send(FrameType::kResponseBody, More::kYes, run.slot, run.call, "c");
  settle();
  EXPECT_EQ(call.body, "abc");
  EXPECT_FALSE(call.ended);
  one.send(FrameType::kResponseBody, More::kNo, run.slot, run.call, "");
  settle();
  EXPECT_TRUE(call.ended);
  EXPECT_FALSE(call.failure);
  EXPECT_FALSE(one.killed());
}

TEST_F(PoolTest, NothingBeyondTheAnnouncedLengthReachesTheCaller) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.announce(run, 2, "ab", More::kYes);
  one.send(FrameType::kResponseBody, More::kNo, run.slot, run.call, "HTTP/1.1 200 OK");
  settle();
  EXPECT_TRUE(one.killed());
  EXPECT_TRUE(record_.logged("content_length"));
  one.exit(exit_signal(9));
  EXPECT_EQ(call.body, "ab");
  EXPECT_EQ(call.failure, Failure::kWorkerDied);
}

TEST_F(PoolTest, AnAnswerBeforeReadyEndsTheWorker) {
  for (const bool raises : {false, true}) {
    const TestCall& call = submit();
    FakeWorker& one = worker(launcher_.started() - 1);
    const OwnedFrame run = request(one);
    one.begin(run);
    if (raises) {
      one.fail(run, wire::FailKind::kRaised, "");
    } else {
      one.respond(run, "soon", microseconds(1));
    }
    settle();
    EXPECT_TRUE(one.killed());
    EXPECT_TRUE(record_.logged("before READY"));
    one.exit(exit_signal(9));
    EXPECT_EQ(call.failure, Failure::kWorkerDied);
    record_.lines.clear();
  }
}

// It would seem busy for ever, and its next call would have no time limit.
TEST_F(PoolTest, ACancelledCallThatIsDroppedEndsTheWorker) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  call.call.cancel();
  one.send(FrameType::kRecalled, More::kNo, run.slot, run.call, "");
  settle();
  EXPECT_TRUE(one.killed());
}

TEST_F(PoolTest, ACallThatWasTakenBackAndIsAnsweredEndsTheWorker) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  const OwnedFrame run = request(one);
  call.call.cancel();
  ASSERT_EQ(one.claim(run.slot), wire::Claim::kRecalled);
  one.respond(run, "late", microseconds(1));
  settle();
  EXPECT_TRUE(one.killed());
}

// Calls that no worker keeps have to end, too.
TEST_F(PoolTest, ACallWhoseWorkersEndIsNotGivenBackWithoutEnd) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  clock_.advance(config_.queue_wait);
  settle();
  one.exit(exit_code(0));
  EXPECT_EQ(call.failure, Failure::kNoCapacity);
}

// The claim page is the worker's to write.
TEST_F(PoolTest, ACallThatWasAnsweredInPartIsNotRunAgain) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.respond(run, "part", microseconds(1), More::kYes);
  settle();
  EXPECT_EQ(call.body, "part");
  ASSERT_EQ(one.claim(run.slot), wire::Claim::kQueued);
  one.exit(exit_code(0));
  EXPECT_EQ(call.failure, Failure::kWorkerDied);
  EXPECT_EQ(pool().waiting(), 0U);
}

TEST_F(PoolTest, ACancelledCallThatWasAnsweredInPartIsNotTakenBack) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.respond(run, "part", microseconds(1), More::kYes);
  settle();
  call.call.cancel();
  settle();
  EXPECT_EQ(one.receive(FrameType::kCancel).size(), 1U);
  EXPECT_EQ(pool().running(), 1U);
  pass(seconds(1));
  EXPECT_TRUE(one.killed());
}

TEST_F(PoolTest, LargeBodyGoesInPartsAndPausesWhileNobodyReads) {
  net::BodyBudget budget;
  net::Body body(budget);
  std::string sent;
  for (int i = 0; sent.size() < 3'000'000; ++i) sent += std::to_string(i) + " ";
  ASSERT_TRUE(body.append(sent));
  const TestCall& call = submit(&body);
  FakeWorker& one = worker(0);
  one.ready();

  std::string got;
  std::optional<OwnedFrame> first;
  More more = More::kYes;
  for (int round = 0; round < 100 && more == More::kYes; ++round) {
    for (OwnedFrame& frame : one.receive()) {
      if (frame.type == FrameType::kInit) continue;
      EXPECT_EQ(frame.type, first ? FrameType::kRequestBody : FrameType::kRequest);
      if (first) {
        EXPECT_EQ(frame.call, first->call);
        got += frame.payload;
      }
      more = frame.more;
      if (!first) first = std::move(frame);
    }
    settle();
  }
  EXPECT_EQ(more, More::kNo);
  EXPECT_EQ(got, sent);
  ASSERT_TRUE(first);
  one.respond(*first, "thanks", microseconds(1));
  settle();
  EXPECT_EQ(call.body, "thanks");
}

TEST_F(PoolTest, SmallBodyGoesWithItsRequest) {
  net::BodyBudget budget;
  net::Body body(budget);
  ASSERT_TRUE(body.append("ping"));
  FakeWorker& one = warm();
  const TestCall& call = submit(&body);
  const OwnedFrame frame = request(one);
  EXPECT_EQ(frame.more, More::kNo);
  EXPECT_EQ(frame.payload, call.call.request + "ping");
}

// Who sends without end gets a share of each turn, however small its frames are.
TEST_F(PoolTest, AFloodOfFramesLeavesTheTurnToOthers) {
  constexpr int kParts = 9'000;
  FakeWorker& one = warm();
  const TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.respond(run, "", microseconds(1), More::kYes);
  settle();
  bool timer_ran = false;
  loop_.after(Duration::zero(), [&] { timer_ran = true; });
  one.flood(FrameType::kResponseBody, More::kYes, run, "x", kParts);
  loop_.turn(Duration::zero());
  EXPECT_GT(call.body.size(), 0U);
  EXPECT_LT(call.body.size(), std::size_t{kParts});
  EXPECT_TRUE(timer_ran);
  settle();  // no more comes, and still nothing is lost
  EXPECT_EQ(call.body.size(), std::size_t{kParts});
}

// It goes on sending, as if it had been told how much it may.
TEST_F(PoolTest, AWorkerThatDoesNotReadItsWindowsIsStopped) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.respond(run, "", microseconds(1), More::kYes);
  settle();
  for (int i = 0; i < 13'000; ++i) call.call.grant(kStep);
  EXPECT_FALSE(one.killed());
  for (int i = 0; i < 1'000; ++i) call.call.grant(kStep);
  EXPECT_TRUE(one.killed());
  EXPECT_TRUE(record_.logged("it does not read"));
}

TEST_F(PoolTest, OneThatReadsGetsWindowsWithoutEnd) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.respond(run, "", microseconds(1), More::kYes);
  settle();
  for (int i = 0; i < 100; ++i) {
    for (int k = 0; k < 150; ++k) call.call.grant(kStep);
    settle();
    EXPECT_EQ(one.receive(FrameType::kWindow).size(), 150U);
  }
  EXPECT_FALSE(one.killed());
}

TEST_F(PoolTest, RunsAreNotLongerThanTheWorkerHadItsCall) {
  FakeWorker& one = warm();
  for (const auto claimed : {Duration::max(), Duration(-1), Duration(std::chrono::hours(1))}) {
    const TestCall& call = submit();
    const OwnedFrame run = request(one);
    clock_.advance(milliseconds(3));
    one.respond(run, "", claimed);
    settle();
    EXPECT_EQ(call.call.run, Duration(milliseconds(3)));
  }
  const TestCall& call = submit();
  const OwnedFrame run = request(one);
  clock_.advance(milliseconds(3));
  one.respond(run, "", milliseconds(2));
  settle();
  EXPECT_EQ(call.call.run, Duration(milliseconds(2)));
}

TEST_F(PoolTest, DescriptorsAreRefusedByTheKernel) {
  if (!kernel_refuses_descriptors()) GTEST_SKIP() << "needs Linux 6.16";
  FakeWorker& one = warm();
  EXPECT_EQ(one.send_descriptor(STDIN_FILENO), EPERM);
  one.log(nullptr, "goes on\n");
  settle();
  EXPECT_TRUE(record_.logged("goes on"));
  EXPECT_FALSE(one.killed());
}

TEST_F(PoolTest, WhereTheKernelDoesNotDescriptorsEndTheWorker) {
  context_.guard = WorkerSocket::Guard::kReader;
  FakeWorker& one = warm();
  EXPECT_EQ(one.send_descriptor(STDIN_FILENO), 0);
  settle();
  EXPECT_TRUE(one.killed());
  EXPECT_TRUE(record_.logged("it sent descriptors to the server"));
}

// A byte a read, as packets of a pipe are: each costs more than its byte.
TEST_F(PoolTest, TinyWritesAreReadWithPauses) {
  FakeWorker& one = warm();
  one.print_in_packets();
  while (one.print_if_room("x")) {
  }
  settle();
  const std::size_t before = one.printed_unread();
  EXPECT_GT(before, 0U);
  clock_.advance(milliseconds(2));
  settle();
  EXPECT_LT(one.printed_unread(), before);
}

// What is printed beyond that waits a little, for the loop's time belongs to others.
TEST_F(PoolTest, AFloodOfLogFramesIsReadWithPauses) {
  FakeWorker& one = warm();
  for (int i = 0; i < 5; ++i) one.log(nullptr, std::string((64U << 10) - 2, 'x') + "\n");
  settle();
  EXPECT_EQ(record_.lines.size(), 3U);
  clock_.advance(milliseconds(2));
  settle();
  EXPECT_EQ(record_.lines.size(), 5U);
}

TEST_F(PoolTest, AFullPipeIsReadWithPauses) {
  FakeWorker& one = warm();
  one.print(std::string((64U << 10) - 1, 'x') + "\n");
  settle();
  one.print("more\n");
  settle();
  EXPECT_FALSE(record_.logged("more"));
  clock_.advance(milliseconds(2));
  settle();
  EXPECT_TRUE(record_.logged("more"));
}

TEST_F(PoolTest, LinesBeyondWhatIsLoggedInASecondAreCounted) {
  FakeWorker& one = warm();
  one.log(nullptr, std::string(LogMeter::kLinesPerSecond, '\n'));
  one.log(nullptr, "too many\n");
  one.print("and\nmore\n");
  settle();
  EXPECT_FALSE(record_.logged("too many"));
  EXPECT_FALSE(record_.logged("more"));
  pass(milliseconds(999));
  EXPECT_FALSE(record_.logged("dropped"));
  pass(milliseconds(1));
  EXPECT_TRUE(record_.logged("3 more lines were dropped"));
  record_.lines.clear();
  one.log(nullptr, "again\n");
  pass(seconds(2));
  EXPECT_TRUE(record_.logged("again"));
  EXPECT_FALSE(record_.logged("dropped"));
}

TEST_F(PoolTest, LinesOfAFailureCountAsLoggedOnes) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  one.fail(request(one), wire::FailKind::kRaised, std::string(LogMeter::kLinesPerSecond + 5, '\n'));
  settle();
  EXPECT_EQ(call.failure, Failure::kRaised);
  EXPECT_EQ(call.detail.size(), LogMeter::kLinesPerSecond);
  pass(seconds(1));
  EXPECT_TRUE(record_.logged("5 more lines were dropped"));
}

TEST_F(PoolTest, DroppedLinesOfTheLastWorkerAreTold) {
  FakeWorker& one = warm();
  one.log(nullptr, std::string(LogMeter::kLinesPerSecond + 7, '\n'));
  one.exit(exit_code(0));
  EXPECT_TRUE(record_.logged("7 more lines were dropped"));
}

TEST_F(PoolTest, LogLinesCarryTheirCall) {
  FakeWorker& one = warm();
  const TestCall& call = submit();
  const OwnedFrame run = request(one);
  one.begin(run);
  one.log(&run, "in the call");
  one.log(nullptr, "outside");
  one.print("printed\nunfinished");
  settle();
  ASSERT_EQ(record_.lines.size(), 3U);
  EXPECT_EQ(record_.lines[0].call_id, call.call.id);
  EXPECT_EQ(record_.lines[0].stream, "stderr");
  EXPECT_EQ(record_.lines[0].text, "in the call");
  EXPECT_EQ(record_.lines[1].call_id, "");
  EXPECT_EQ(record_.lines[2].text, "printed\n");
  EXPECT_EQ(record_.lines[2].call_id, call.call.id);
  EXPECT_EQ(record_.lines[2].stream, "stdout");
  one.exit(exit_code(1));
  EXPECT_TRUE(record_.logged("unfinished"));  // what the dead process left is not lost
}

TEST_F(PoolTest, LinesOfACancelledCallCarryItUntilItsEnd) {
  FakeWorker& one = warm();
  TestCall& call = submit();
  const std::string id = call.call.id;
  const OwnedFrame run = request(one);
  one.begin(run);
  call.call.cancel();
  one.log(&run, "cleaning up");
  one.fail(run, wire::FailKind::kCancelled, "");
  one.log(&run, "goes on");
  settle();
  ASSERT_EQ(record_.lines.size(), 2U);
  EXPECT_EQ(record_.lines[0].call_id, id);
  EXPECT_EQ(record_.lines[1].call_id, "");
}

TEST_F(PoolTest, LinesOfTheRuntimeAreThePlatforms) {
  FakeWorker& one = warm();
  one.send(FrameType::kLog, More::kNo, 0, 0, "\3of the runtime\n");
  settle();
  ASSERT_EQ(record_.lines.size(), 1U);
  EXPECT_EQ(record_.lines[0].stream, "platform");
}

}  // namespace
}  // namespace sterna::pool
