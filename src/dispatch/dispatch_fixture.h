// A queue in memory and a function table over played workers, with the dispatcher between them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dispatch/dispatcher.h"
#include "invoke/testing/table_fixture.h"
#include "queue/memory/memory_queue.h"

namespace sterna::dispatch::testing {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// Stands for the server: passes on what the queue tells, and notes it.
class QueueRecord final : public queue::QueueObserver {
 public:
  explicit QueueRecord(std::optional<Dispatcher>& dispatcher) : dispatcher_(dispatcher) {}
  std::vector<std::string> settled;  // "call state reason"

  void on_ready() override {
    if (dispatcher_) dispatcher_->wanted();
  }
  void on_accepted(const queue::FunctionName&) override {}
  std::optional<queue::Interruption> interruption(const queue::Receipt& receipt) override {
    return dispatcher_ ? dispatcher_->interruption(receipt) : std::nullopt;
  }
  bool is_running(const queue::Receipt& receipt) override {
    return dispatcher_ && dispatcher_->is_running(receipt);
  }
  void on_revoked(const queue::Receipt& receipt, std::string_view reason) override {
    if (dispatcher_) dispatcher_->revoke(receipt, reason);
  }
  void on_settled(const queue::FunctionName&, const std::string& id, queue::State state,
                  const std::string& reason, queue::Delivery) override {
    settled.push_back(id + " " + std::string(queue::to_string(state)) + " " + reason);
  }

 private:
  std::optional<Dispatcher>& dispatcher_;
};

class DispatchTest : public invoke::testing::TableTest {
 protected:
  DispatchTest() {
    queue_.observe(record_);
    table_.on_running([this](const std::string& id) {
      if (dispatcher_) dispatcher_->wake(id);
    });
    table_.on_remove([this](const std::string& id) { queue_.forget(id); });
    start();
  }

  void start() {
    dispatcher_.emplace(loop_, table_, queue_, bodies_, dispatch_limits_,
                        [this](const queue::FunctionName&) { ++retries_; });
  }

  static queue::FunctionName name(const std::string& function = "motion") {
    return {.id = "id-" + function, .space = "default", .name = function};
  }
  queue::Submission submission(const std::string& id, const std::string& body = {}) {
    queue::Submission made{.function = name(),
                           .id = id,
                           .request = {},
                           .body = net::Body(bodies_),
                           .callback_url = {},
                           .created_at = clock_.wall(),
                           .not_before = clock_.wall(),
                           .expires_at = clock_.wall() + std::chrono::hours(6),
                           .max_attempts = 0,
                           .idempotency = {}};
    wire::append_request(made.request, {.method = "POST", .path = "/", .query = {}, .headers = {}}, {});
    EXPECT_TRUE(made.body.append(body));
    return made;
  }
  void enqueue(queue::Submission submission) {
    queue_.enqueue(std::move(submission),
                   [](const Result<queue::Accepted>& accepted) { EXPECT_TRUE(accepted); });
    settle();
  }
  void enqueue(const std::string& id) { enqueue(submission(id)); }

  // A function that runs, with this policy.
  void run_function(const api::AsyncPolicy& policy = {}, Duration timeout = seconds(30)) {
    registry::Function made = running(1);
    made.active->spec.async = policy;
    made.active->spec.limits.timeout = timeout;
    table_.apply(made);
  }

  // What the worker has got since it was last asked, begun.
  std::vector<pool::testing::OwnedFrame> requests(std::size_t index = 0) {
    auto frames = worker(index).receive(wire::FrameType::kRequest);
    for (const auto& frame : frames) worker(index).begin(frame);
    return frames;
  }
  pool::testing::OwnedFrame request(std::size_t index = 0) {
    const auto frames = requests(index);
    EXPECT_EQ(frames.size(), 1U);
    return frames.empty() ? pool::testing::OwnedFrame{} : frames.front();
  }
  void respond(const pool::testing::OwnedFrame& to, std::uint32_t status,
               const pool::testing::PlayedHeaders& headers, std::string_view body,
               wire::More more = wire::More::kNo, std::size_t index = 0) {
    worker(index).respond(to, status, headers, body, more);
    settle();
  }
  void wait_until_warm(std::size_t index = 0) {
    worker(index).ready();
    settle();
  }

  queue::Record record(const std::string& id) {
    std::optional<queue::Record> found;
    queue_.find(name().id, id, [&](Result<queue::Record> known) {
      ASSERT_TRUE(known) << id;
      found = std::move(*known);
    });
    settle();
    return found.value_or(queue::Record{});
  }
  struct Stored {
    int status = 0;
    pool::testing::PlayedHeaders headers;
    std::string body;
  };
  Stored answer_of(const std::string& id) {
    Stored stored;
    queue_.answer(name().id, id, [&](Result<queue::StoredAnswer> answer) {
      ASSERT_TRUE(answer) << id;
      stored.status = answer->status_code;
      std::string_view name;
      std::string_view value;
      for (wire::HeaderWalk walk(answer->headers, answer->header_count); walk.next(name, value);)
        stored.headers.emplace_back(name, value);
      while (stored.body.size() < answer->body->size())
        ASSERT_TRUE(answer->body->read(stored.body.size(), 1U << 20U, stored.body));
    });
    settle();
    return stored;
  }

  net::BodyBudget bodies_;
  DispatchLimits dispatch_limits_;
  queue::MemoryQueue queue_{loop_, bodies_, {}};
  std::optional<Dispatcher> dispatcher_;
  QueueRecord record_{dispatcher_};
  int retries_ = 0;
};

}  // namespace sterna::dispatch::testing
