#include "server/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <utility>

namespace sterna::server {
namespace {

constexpr auto kStuck = "a thread does not end";

class SignalsTest : public ::testing::Test {
 protected:
  // Each in a process of its own.
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  static void send(int signal) { ::kill(::getpid(), signal); }
  // As a thread that never ends does. What is tested ends the process long before.
  [[noreturn]] static void hang() {
    ::alarm(60);
    while (true) ::pause();
  }
};

TEST_F(SignalsTest, AreToldAlsoWhenTheyCameBefore) {
  const auto heard = [] {
    Signals::block();
    send(SIGTERM);
    Signals signals;
    std::promise<int> first;
    signals.tell([&first](int signal) { first.set_value(signal); });
    const bool right = first.get_future().get() == SIGTERM;
    signals.tell(nullptr);
    std::exit(right ? 0 : 2);
  };
  EXPECT_EXIT(heard(), ::testing::ExitedWithCode(0), "");
}

TEST_F(SignalsTest, ASecondOneEndsWhatHangs) {
  const auto twice = [](int first, int second) {
    Signals::block();
    Signals signals;
    std::promise<void> came;
    signals.tell([&came, told = false](int) mutable {
      if (!std::exchange(told, true)) came.set_value();
    });
    send(first);
    came.get_future().wait();
    send(second);
    hang();
  };
  EXPECT_EXIT(twice(SIGTERM, SIGTERM), ::testing::ExitedWithCode(1), kStuck);
  EXPECT_EXIT(twice(SIGHUP, SIGINT), ::testing::ExitedWithCode(1), kStuck);
}

TEST_F(SignalsTest, ASecondOneDoesNotWaitForTheEndsTimeLimit) {
  const auto ends = [] {
    Signals::block();
    Signals signals;
    std::promise<void> came;
    signals.tell([&came](int) { came.set_value(); });
    send(SIGTERM);
    came.get_future().wait();
    signals.tell(nullptr);
    signals.end_within(std::chrono::hours(1));
    send(SIGTERM);
    hang();
  };
  EXPECT_EXIT(ends(), ::testing::ExitedWithCode(1), kStuck);
}

TEST_F(SignalsTest, TheEndHasATimeLimit) {
  const auto ends = [] {
    Signals::block();
    Signals signals;
    signals.end_within(std::chrono::milliseconds(10));
    hang();
  };
  EXPECT_EXIT(ends(), ::testing::ExitedWithCode(1), kStuck);
}

TEST_F(SignalsTest, WhatEndsInTimeIsLeftAlone) {
  const auto ends = [] {
    Signals::block();
    {
      Signals signals;
      signals.end_within(std::chrono::hours(1));
    }
    std::exit(0);
  };
  EXPECT_EXIT(ends(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sterna::server
