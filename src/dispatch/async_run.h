// One attempt of an asynchronous invocation: runs it as every other, and gathers the answer.
#pragma once

#include <optional>
#include <string>

#include "dispatch/settle_policy.h"
#include "invoke/invocation.h"
#include "queue/lease_queue.h"

namespace sterna::dispatch {

class AsyncRun;

// Makes it what a synchronous caller would have got of such a failure.
void answer_problem(queue::Answer& answer, const invoke::FailureInfo& failure, std::string_view call_id);

class RunOwner {
 public:
  virtual ~RunOwner() = default;
  // The last thing that the run does; may destroy it.
  virtual void on_run_ended(AsyncRun& run, const AttemptEnd& end) = 0;
};

class AsyncRun final : private invoke::OutcomeObserver {
 public:
  AsyncRun(const Clock& clock, invoke::FunctionTable& table, net::BodyBudget& bodies,
           std::uint64_t max_result_bytes, queue::Lease lease, RunOwner& owner);

  // The entry must be running (invoke::admit). The end may come before this returns.
  void start(invoke::FunctionEntry& entry, MonotonicTime now);

  // Stops it really; no end comes any more.
  void cancel(std::string_view why) { invocation_.cancel(why); }

  const queue::Lease& lease() const { return lease_; }
  std::int64_t version() const { return invocation_.version(); }
  // What came of it, once it has ended.
  queue::Attempt attempt(const AttemptEnd& end) const;
  // Whether it runs in a worker; else it waits for one.
  bool has_begun() const { return invocation_.has_begun(); }
  // As it stands now, for one that is about to be cancelled. nullopt: no worker has it.
  std::optional<queue::Interruption> interruption() const;
  queue::Answer take_answer() { return std::move(answer_); }

 private:
  void on_answer(const wire::ResponseHead& head, std::string_view body, wire::More more) override;
  void on_part(std::string_view part, wire::More more) override;
  void on_failure(const invoke::FailureInfo& failure) override;

  void take_headers(const wire::ResponseHead& head);
  void take_part(std::string_view part, wire::More more);
  void end(const AttemptEnd& end);

  const Clock& clock_;
  const std::uint64_t max_result_bytes_;
  queue::Lease lease_;
  RunOwner& owner_;
  WallTime started_at_;
  queue::Answer answer_;
  std::optional<Duration> retry_after_;
  invoke::Invocation invocation_;  // last: it uses the others, and ends its run first
};

}  // namespace sterna::dispatch
