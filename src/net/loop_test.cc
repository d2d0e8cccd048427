#include "net/loop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "net/background.h"

namespace sterna::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LoopTest : public ::testing::Test {
 protected:
  void turn() { loop_.turn(Duration::zero()); }

  ManualClock clock_;
  Loop loop_{clock_};
  std::string order_;
};

TEST_F(LoopTest, TimersRunInOrderOfTheirTimes) {
  loop_.after(milliseconds(20), [this] { order_ += "c"; });
  loop_.after(milliseconds(10), [this] { order_ += "a"; });
  loop_.after(milliseconds(10), [this] { order_ += "b"; });
  const auto cancelled = loop_.after(milliseconds(15), [this] { order_ += "x"; });
  turn();
  EXPECT_EQ(order_, "");
  loop_.cancel(cancelled);
  clock_.advance(milliseconds(10));
  turn();
  EXPECT_EQ(order_, "ab");
  clock_.advance(milliseconds(10));
  turn();
  EXPECT_EQ(order_, "abc");
  clock_.advance(seconds(1));
  turn();
  EXPECT_EQ(order_, "abc");
}

TEST_F(LoopTest, ATimerMayCancelTheNextAndSetAnother) {
  Loop::TimerId second{};
  loop_.after(milliseconds(1), [&] {
    loop_.cancel(second);
    loop_.after(milliseconds(5), [this] { order_ += "later"; });
  });
  second = loop_.after(milliseconds(2), [this] { order_ += "x"; });
  clock_.advance(milliseconds(2));
  turn();
  EXPECT_EQ(order_, "");
  clock_.advance(milliseconds(5));
  turn();
  EXPECT_EQ(order_, "later");
}

// As a process finds the world that was stopped (SIGSTOP) while it waited: the wait is broken off, its timers
// have run out meanwhile, and what they watched over has come, too.
TEST_F(LoopTest, WhatCameWhileTheProcessWasStoppedGoesBeforeTheTimers) {
  static ManualClock* clock = nullptr;
  static int answer = -1;
  struct Watched final : EventHandler {
    explicit Watched(std::string& order) : order_(order) {}
    void on_event(std::uint32_t) override { order_ += "answer, "; }
    std::string& order_;
  } watched(order_);
  const UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(loop_.add(fd.get(), watched, EPOLLIN | EPOLLET));
  loop_.after(seconds(60), [this] { order_ += "timer"; });
  clock = &clock_;
  answer = fd.get();
  struct sigaction stop{};
  stop.sa_handler = [](int) {
    ::eventfd_write(answer, 1);
    clock->advance(seconds(61));
  };
  ASSERT_EQ(::sigaction(SIGUSR1, &stop, nullptr), 0);
  const pthread_t waits = ::pthread_self();
  std::thread stopper([waits, file = "/proc/self/task/" + std::to_string(::gettid()) + "/stat"] {
    const auto deadline = std::chrono::steady_clock::now() + seconds(10);
    std::string state;
    while (!state.contains(") S ") && std::chrono::steady_clock::now() < deadline)
      std::getline(std::ifstream(file), state);
    ::pthread_kill(waits, SIGUSR1);
  });
  loop_.turn(seconds(120));
  stopper.join();
  loop_.remove(fd.get(), watched);
  EXPECT_EQ(order_, "answer, timer");
}

TEST_F(LoopTest, TimeStandsStillDuringATurn) {
  const MonotonicTime before = clock_.now();
  loop_.post([&] {
    clock_.advance(seconds(1));
    EXPECT_EQ(loop_.now(), before);
  });
  turn();
  turn();
  EXPECT_EQ(loop_.now(), before + seconds(1));
}

TEST_F(LoopTest, JobsPostedByJobsRunInALaterTurn) {
  loop_.post([this] {
    order_ += "a";
    loop_.post([this] { order_ += "c"; });
  });
  loop_.post([this] { order_ += "b"; });
  turn();
  EXPECT_EQ(order_, "ab");
  turn();
  EXPECT_EQ(order_, "abc");
}

class Recorder final : public TurnEnd {
 public:
  Recorder(std::string& order, char name, When when = When::kLate)
      : TurnEnd(when), order_(order), name_(name) {}
  std::function<void()> then = [] {};
  void on_turn_end() override {
    order_ += name_;
    std::exchange(then, [] {})();
  }

 private:
  std::string& order_;
  const char name_;
};

TEST_F(LoopTest, TurnEndCallsEachOnceAndForgets) {
  Recorder a(order_, 'a');
  Recorder b(order_, 'b');
  Recorder c(order_, 'c');
  loop_.at_turn_end(a);
  loop_.at_turn_end(a);
  loop_.at_turn_end(b);
  loop_.at_turn_end(c);
  loop_.forget(b);
  turn();
  EXPECT_EQ(order_, "ac");
  turn();
  EXPECT_EQ(order_, "ac");
}

TEST_F(LoopTest, TurnEndEntriesMayListAndForgetOthers) {
  Recorder a(order_, 'a');
  Recorder b(order_, 'b');
  Recorder c(order_, 'c');
  a.then = [&] {
    loop_.forget(b);
    loop_.at_turn_end(c);
    loop_.at_turn_end(a);
  };
  loop_.at_turn_end(a);
  loop_.at_turn_end(b);
  turn();
  EXPECT_EQ(order_, "aca");
}

TEST_F(LoopTest, EarlyEntriesComeFirstAndGatherWhatLateOnesList) {
  Recorder early(order_, 'e', TurnEnd::When::kEarly);
  Recorder a(order_, 'a');
  Recorder b(order_, 'b');
  a.then = b.then = [&] { loop_.at_turn_end(early); };
  loop_.at_turn_end(a);
  loop_.at_turn_end(b);
  loop_.at_turn_end(early);
  turn();
  EXPECT_EQ(order_, "eabe");
  loop_.at_turn_end(a);
  loop_.at_turn_end(early);
  loop_.forget(early);
  turn();
  EXPECT_EQ(order_, "eabea");
}

// Whichever of two comes first removes the other, whose event is already fetched.
class Rival final : public EventHandler {
 public:
  explicit Rival(Loop& loop) : loop_(loop), fd_(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {
    EXPECT_TRUE(loop_.add(fd_.get(), *this));
  }
  ~Rival() override { loop_.remove(fd_.get(), *this); }
  std::unique_ptr<Rival>* other = nullptr;
  int* events = nullptr;
  void on_event(std::uint32_t) override {
    ++*events;
    if (other != nullptr) other->reset();
  }

 private:
  Loop& loop_;
  UniqueFd fd_;
};

TEST_F(LoopTest, RemovedHandlerHearsNothingOfTheSameBatch) {
  int events = 0;
  auto one = std::make_unique<Rival>(loop_);
  auto two = std::make_unique<Rival>(loop_);
  one->events = two->events = &events;
  one->other = &two;
  two->other = &one;
  turn();
  EXPECT_EQ(events, 1);
  EXPECT_NE(one == nullptr, two == nullptr);
}

TEST_F(LoopTest, DisposedHandlersLiveUntilTheTurnEnds) {
  struct Garbage final : EventHandler {
    explicit Garbage(std::string& order) : order_(order) {}
    ~Garbage() override { order_ += "gone"; }
    void on_event(std::uint32_t) override {}
    std::string& order_;
  };
  loop_.post([this] {
    loop_.dispose(std::make_unique<Garbage>(order_));
    order_ += "still here, ";
  });
  turn();
  EXPECT_EQ(order_, "still here, gone");
}

TEST_F(LoopTest, ChangedEventsTellAgainWhatIsThere) {
  struct Listener final : EventHandler {
    void on_event(std::uint32_t events) override { seen.push_back(events); }
    std::vector<std::uint32_t> seen;
  } listener;
  const UniqueFd fd(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(loop_.add(fd.get(), listener, EPOLLIN | EPOLLET));
  turn();
  ASSERT_TRUE(loop_.change(fd.get(), listener, EPOLLIN | EPOLLOUT | EPOLLET));
  turn();
  EXPECT_EQ(listener.seen, (std::vector<std::uint32_t>{EPOLLIN, EPOLLIN | EPOLLOUT}));
  loop_.remove(fd.get(), listener);
  EXPECT_FALSE(loop_.change(fd.get(), listener, EPOLLIN));
}

// Asks to be told again as often as it is to, and may remove another.
class Insatiable final : public EventHandler {
 public:
  Insatiable(Loop& loop, std::string& order, char name, int times)
      : loop_(loop), order_(order), name_(name), times_(times), fd_(::eventfd(0, EFD_CLOEXEC)) {
    EXPECT_TRUE(loop_.add(fd_.get(), *this, EPOLLIN | EPOLLET));
  }
  ~Insatiable() override { loop_.remove(fd_.get(), *this); }
  std::unique_ptr<Insatiable>* removes = nullptr;
  std::uint32_t seen = 0;
  void on_event(std::uint32_t events) override {
    order_ += name_;
    seen = events;
    if (removes != nullptr) removes->reset();
    if (times_-- > 0) loop_.tell_again(*this, EPOLLIN);
  }
  void tell() { ::eventfd_write(fd_.get(), 1); }

 private:
  Loop& loop_;
  std::string& order_;
  const char name_;
  int times_;
  UniqueFd fd_;
};

TEST_F(LoopTest, WhoAsksToBeToldAgainTakesTurnsWithTheOthers) {
  Insatiable a(loop_, order_, 'a', 2);
  Insatiable b(loop_, order_, 'b', 1);
  loop_.after(milliseconds(1), [this] { order_ += "timer,"; });
  a.tell();
  turn();
  EXPECT_EQ(order_, "a");
  b.tell();
  clock_.advance(milliseconds(1));
  loop_.turn(seconds(100));  // does not wait
  EXPECT_EQ(order_, "aabtimer,");
  loop_.turn(seconds(100));
  EXPECT_EQ(order_, "aabtimer,ab");
  EXPECT_EQ(a.seen, static_cast<std::uint32_t>(EPOLLIN));
  turn();
  EXPECT_EQ(order_, "aabtimer,ab");
}

TEST_F(LoopTest, WhoIsToldAgainIsToldOnceOfAllThatItAskedFor) {
  Insatiable a(loop_, order_, 'a', 0);
  loop_.tell_again(a, EPOLLIN);
  loop_.tell_again(a, EPOLLOUT);
  turn();
  EXPECT_EQ(order_, "a");
  EXPECT_EQ(a.seen, static_cast<std::uint32_t>(EPOLLIN | EPOLLOUT));
}

TEST_F(LoopTest, RemovedHandlerIsNotToldAgain) {
  auto a = std::make_unique<Insatiable>(loop_, order_, 'a', 0);
  auto b = std::make_unique<Insatiable>(loop_, order_, 'b', 0);
  auto c = std::make_unique<Insatiable>(loop_, order_, 'c', 0);
  for (Insatiable* const each : {a.get(), b.get(), c.get()}) loop_.tell_again(*each, EPOLLIN);
  a.reset();  // before its turn
  b->removes = &c;
  turn();
  EXPECT_EQ(order_, "b");
  EXPECT_EQ(c, nullptr);
}

TEST_F(LoopTest, BadDescriptorIsAnError) {
  struct Deaf final : EventHandler {
    void on_event(std::uint32_t) override {}
  } deaf;
  const Status added = loop_.add(-1, deaf);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Code::kIo);
}

TEST(LoopThreads, OtherThreadsPostAndStop) {
  const SystemClock clock;
  Loop loop(clock);
  int sum = 0;  // of the loop's thread
  std::thread loop_thread([&] { loop.run(); });
  std::thread other([&] {
    for (int i = 1; i <= 100; ++i) loop.post([&sum, i] { sum += i; });
    loop.post([&] { loop.stop(); });
  });
  other.join();
  loop_thread.join();
  EXPECT_EQ(sum, 5050);
}

TEST(Background, RunsInOrderAndEndsWithAnEmptyQueue) {
  std::string order;
  {
    Background background;
    for (const char c : std::string("abcdef")) background.run([&order, c] { order += c; });
  }
  EXPECT_EQ(order, "abcdef");
}

// Holds the thread up until it is let go.
struct Hold {
  explicit Hold(Background& background) {
    background.run([this] {
      begun.set_value();
      gone_on.get_future().wait();
    });
    begun.get_future().wait();
  }
  void let_go() { gone_on.set_value(); }

  std::promise<void> begun;
  std::promise<void> gone_on;
};

TEST(Background, LanesTakeTurns) {
  std::string order;
  std::promise<void> done;
  Background background;
  Hold hold(background);
  for (const char* job : {"a1 ", "a2 "}) background.run("a", [&order, job] { order += job; });
  background.run("a", [&done] { done.set_value(); });
  EXPECT_EQ(background.waiting("a"), 3U);
  EXPECT_EQ(background.waiting("b"), 0U);
  background.run("b", [&order] { order += "b1 "; });
  background.run([&order] { order += "own "; });
  background.run("b", [&order] { order += "b2 "; });
  background.run("c", [&order] { order += "c1 "; });
  EXPECT_EQ(background.waiting(), 7U);
  hold.let_go();
  done.get_future().wait();
  EXPECT_EQ(order, "a1 b1 c1 own a2 b2 ");
  EXPECT_EQ(background.waiting(), 0U);
}

TEST(Background, EndsWithItsOwnLaneAndDropsTheOthers) {
  std::string order;
  Background background;
  Hold hold(background);
  background.run([&order] { order += "own"; });
  background.run("a", [&order] { order += "a"; });
  std::thread end([&background] { background.end(); });
  while (background.waiting() != 1) std::this_thread::yield();
  hold.let_go();
  end.join();
  EXPECT_EQ(order, "own");
  background.run([&order] { order += "late"; });
  background.end();
  EXPECT_EQ(order, "own");
}

TEST(Background, CountsWhatWaits) {
  std::mutex gate;
  gate.lock();
  std::atomic<bool> begun = false;
  Background background;
  background.run([&] {
    begun = true;
    const std::scoped_lock lock(gate);
  });
  while (!begun) std::this_thread::yield();
  background.run([] {});
  background.run([] {});
  EXPECT_EQ(background.waiting(), 2U);
  gate.unlock();
}

}  // namespace
}  // namespace sterna::net
