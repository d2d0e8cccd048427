#include "dispatch/metrics.h"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <set>

#include "queue/memory/memory_queue.h"
#include "wire/messages.h"

namespace sterna::dispatch {
namespace {

class AsyncMetricsTest : public ::testing::Test {
 protected:
  std::string scrape() {
    metrics_.update_gauges();
    return prometheus::TextSerializer().Serialize(registry_.Collect());
  }
  static bool has(const std::string& text, const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
  }

  queue::Submission submission() {
    return {.function = one_,
            .id = "call-1",
            .request = {},
            .body = net::Body(bodies_),
            .callback_url = {},
            .created_at = clock_.wall(),
            .not_before = clock_.wall(),
            .expires_at = clock_.wall() + std::chrono::hours(1),
            .max_attempts = 0,
            .idempotency = {}};
  }

  ManualClock clock_;
  net::Loop loop_{clock_};
  net::BodyBudget bodies_;
  queue::MemoryQueue queue_{loop_, bodies_, {}};
  prometheus::Registry registry_;
  std::set<std::string> existing_{"id-1", "id-2"};
  AsyncMetrics metrics_{registry_, queue_, queue_, clock_,
                        [this](const std::string& id) { return existing_.contains(id); }};
  const queue::FunctionName one_{.id = "id-1", .space = "home", .name = "one"};
};

TEST_F(AsyncMetricsTest, CountsByFunctionAndKind) {
  metrics_.accepted(one_);
  metrics_.accepted(one_);
  metrics_.retried(one_);
  metrics_.settled(one_, queue::State::kSucceeded, "");
  metrics_.settled(one_, queue::State::kFailed, "function_raised");
  metrics_.delivery(one_, "delivered");
  const std::string text = scrape();
  EXPECT_TRUE(has(text, R"(sterna_async_accepted_total{function="one",space="home"} 2)")) << text;
  EXPECT_TRUE(has(text, R"(sterna_async_retries_total{function="one",space="home"} 1)")) << text;
  EXPECT_TRUE(has(text, R"(sterna_async_settled_total{function="one",space="home",state="succeeded"} 1)"))
      << text;
  EXPECT_TRUE(has(text, R"(sterna_async_settled_total{function="one",space="home",state="failed"} 1)"))
      << text;
  EXPECT_TRUE(
      has(text, R"(sterna_async_dead_letters_total{function="one",reason="function_raised",space="home"} 1)"))
      << text;
  EXPECT_TRUE(
      has(text, R"(sterna_callback_deliveries_total{function="one",outcome="delivered",space="home"} 1)"))
      << text;
}

TEST_F(AsyncMetricsTest, GaugesTellDepthAndAge) {
  queue_.enqueue(submission(), [](const Result<queue::Accepted>& done) { EXPECT_TRUE(done); });
  for (int i = 0; i < 3; ++i) loop_.turn(Duration::zero());
  metrics_.accepted(one_);
  clock_.advance(std::chrono::seconds(7));
  const std::string text = scrape();
  EXPECT_TRUE(has(text, R"(sterna_queue_depth{function="one",space="home"} 1)")) << text;
  EXPECT_TRUE(has(text, R"(sterna_queue_running{function="one",space="home"} 0)")) << text;
  EXPECT_TRUE(has(text, R"(sterna_queue_oldest_seconds{function="one",space="home"} 7)")) << text;
}

TEST_F(AsyncMetricsTest, WhatIsLeftOfAnEarlierRunIsShownBeforeAnythingHappens) {
  queue_.enqueue(submission(), [](const Result<queue::Accepted>& done) { EXPECT_TRUE(done); });
  for (int i = 0; i < 3; ++i) loop_.turn(Duration::zero());
  metrics_.found(one_);
  clock_.advance(std::chrono::seconds(7));
  const std::string text = scrape();
  EXPECT_TRUE(has(text, R"(sterna_queue_depth{function="one",space="home"} 1)")) << text;
  EXPECT_TRUE(has(text, R"(sterna_queue_oldest_seconds{function="one",space="home"} 7)")) << text;
  metrics_.remove(one_.id);
  EXPECT_EQ(scrape().find("function="), std::string::npos);
}

TEST_F(AsyncMetricsTest, OnlyFunctionsWithAsynchronousWorkHaveSeries) {
  EXPECT_EQ(scrape().find("function="), std::string::npos);
  metrics_.accepted(one_);
  metrics_.settled(one_, queue::State::kFailed, "worker_died");
  existing_.erase(one_.id);
  metrics_.remove(one_.id);
  metrics_.remove(one_.id);
  metrics_.delivery(one_, "delivered");  // its callbacks are still sent
  EXPECT_EQ(scrape().find("function="), std::string::npos);
}

TEST_F(AsyncMetricsTest, ASuccessorOfTheSameNameKeepsItsSeries) {
  metrics_.accepted(one_);
  const queue::FunctionName next{.id = "id-2", .space = "home", .name = "one"};
  metrics_.accepted(next);  // its news may come before the end of the other
  metrics_.remove(one_.id);
  metrics_.accepted(next);
  EXPECT_TRUE(has(scrape(), R"(sterna_async_accepted_total{function="one",space="home"} 3)"));
  metrics_.remove(next.id);
  EXPECT_EQ(scrape().find("function="), std::string::npos);
}

}  // namespace
}  // namespace sterna::dispatch
