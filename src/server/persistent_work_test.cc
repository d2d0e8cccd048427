#include "server/persistent_work.h"

#include <gtest/gtest.h>

#include <future>

namespace sterna::server {
namespace {

using namespace std::chrono_literals;

Status no_room() {
  return fail(Code::kIo, Component::kRegistry, "store_error", "the disk does not want to");
}

class PersistentWorkTest : public testing::Test {
 protected:
  // Hands in work that fails while `fails_`, and waits until it has been tried.
  void run(const std::string& subject, const std::string& what, const std::string& mark) {
    on_thread([&] {
      work_.run(subject, what, [this, mark]() -> Status {
        ++tried_;
        if (fails_) return no_room();
        done_.push_back(mark);
        return {};
      });
    });
  }
  void on_thread(const std::function<void()>& job) {
    std::promise<void> done;
    thread_.run([&] {
      job();
      done.set_value();
    });
    done.get_future().wait();
  }
  void pass_a_second() {
    clock_.advance(1001ms);
    loop_.turn(0ms);
    on_thread([] {});
  }

  ManualClock clock_;
  net::Loop loop_{clock_};
  net::Background thread_;
  PersistentWork work_{loop_, thread_};
  // Of the thread; looked at while it does nothing.
  bool fails_ = false;
  int tried_ = 0;
  std::vector<std::string> done_;
};

TEST_F(PersistentWorkTest, WhatSucceedsIsDoneOnce) {
  run("f", "active 1", "a");
  pass_a_second();
  EXPECT_EQ(done_, std::vector<std::string>{"a"});
  EXPECT_EQ(tried_, 1);
  EXPECT_EQ(work_.waiting(), 0U);
}

TEST_F(PersistentWorkTest, WhatFailsIsTriedEverySecondUntilItIsDone) {
  fails_ = true;
  run("f", "active 1", "a");
  for (int i = 0; i < 3; ++i) pass_a_second();
  EXPECT_EQ(tried_, 4);
  EXPECT_EQ(work_.waiting(), 1U);
  fails_ = false;
  pass_a_second();
  EXPECT_EQ(done_, std::vector<std::string>{"a"});
  EXPECT_EQ(work_.waiting(), 0U);
  pass_a_second();
  EXPECT_EQ(tried_, 5);
}

TEST_F(PersistentWorkTest, OneSubjectKeepsItsOrderAndTheLastOfAKind) {
  fails_ = true;
  run("f", "failed", "failed first");
  run("f", "running", "running");
  run("f", "failed", "failed again");
  run("g", "active 1", "g");
  EXPECT_EQ(tried_, 2);  // of each subject the first
  fails_ = false;
  run("f", "active 2", "active");  // not before the others
  EXPECT_EQ(done_, std::vector<std::string>{});
  pass_a_second();
  EXPECT_EQ(done_, (std::vector<std::string>{"running", "failed again", "active", "g"}));
}

TEST_F(PersistentWorkTest, WhatIsGoneIsNotTriedAgain) {
  on_thread([&] {
    work_.run("f", "active 1",
              [] { return Status(fail(Code::kNotFound, Component::kRegistry, "gone", "")); });
    work_.run("g", "active 1",
              [] { return Status(fail(Code::kConflict, Component::kRegistry, "late", "")); });
  });
  EXPECT_EQ(work_.waiting(), 0U);
}

TEST_F(PersistentWorkTest, WorkMayHandInWork) {
  bool fails = true;
  on_thread([&] {
    work_.run("f", "active 1", [&]() -> Status {
      if (fails) return no_room();
      for (const char* subject : {"a", "f", "z"})
        work_.run(subject, "active 1", [&, subject]() -> Status {
          done_.emplace_back(subject);
          return {};
        });
      return {};
    });
  });
  fails = false;
  pass_a_second();
  EXPECT_EQ(done_, (std::vector<std::string>{"a", "z", "f"}));
  EXPECT_EQ(work_.waiting(), 0U);
}

TEST_F(PersistentWorkTest, ManyThatFailForEverDoNotKeepOthersFromTheirTurn) {
  fails_ = true;
  for (int i = 0; i < 100; ++i) {
    on_thread([&] { work_.run("f" + std::to_string(i), "read", no_room); });
  }
  run("z", "active 1", "z");
  fails_ = false;
  for (int i = 0; i < 7; ++i) pass_a_second();
  EXPECT_EQ(done_, std::vector<std::string>{"z"});
  EXPECT_EQ(work_.waiting(), 100U);
}

}  // namespace
}  // namespace sterna::server
