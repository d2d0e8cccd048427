// Takes what is due from the queue, runs it, and settles it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "dispatch/async_run.h"
#include "net/loop.h"

namespace sterna::dispatch {

struct DispatchLimits {
  // Under way or not settled on disk yet, of all functions, of those that stood in line. A space, and a
  // function, gets as many as are free beside: n of them that want all leave 1/(n+1) to others.
  std::size_t max_runs = 2000;
  std::uint64_t max_result_bytes = 64U << 20U;
};

// Told of each attempt that will be retried.
using OnRetry = std::function<void(const queue::FunctionName&)>;

// Loop only.
class Dispatcher final : private RunOwner, private net::TurnEnd {
 public:
  // All outlive it.
  Dispatcher(net::Loop& loop, invoke::FunctionTable& functions, queue::LeaseQueue& queue,
             net::BodyBudget& bodies, const DispatchLimits& limits, OnRetry on_retry);
  ~Dispatcher() override;

  // Something may be taken; it is when this turn ends.
  void wanted() { loop_.at_turn_end(*this); }
  // The function may be able to run now.
  void wake(const std::string& function_id);
  // What is known of the run, which is about to be cancelled. nullopt: no worker has it.
  std::optional<queue::Interruption> interruption(const queue::Receipt& receipt) const;
  // Whether a worker runs it.
  bool is_running(const queue::Receipt& receipt) const;
  // The lease is over (QueueObserver::on_revoked): the run is stopped.
  void revoke(const queue::Receipt& receipt, std::string_view reason);

  // Takes nothing more. What runs goes on.
  void drain();
  // What runs or waits for the disk.
  std::size_t running() const { return held_ + held_at_once_; }

 private:
  void on_turn_end() override;
  void on_run_ended(AsyncRun& run, const AttemptEnd& end) override;

  // Of one lease that was asked for.
  struct Place {
    queue::Turn turn = queue::Turn::kInLine;
    std::string function_id;
    std::string space;
    bool occupied = false;
  };

  AsyncRun* run_of(const queue::Receipt& receipt) const;
  bool take(queue::Turn turn);
  queue::Gate may_run(const queue::FunctionName& function);
  queue::Gate may_run_at_once(const queue::FunctionName& function) const;
  bool has_share(const queue::FunctionName& function) const;
  std::size_t& held(queue::Turn turn) { return turn == queue::Turn::kAtOnce ? held_at_once_ : held_; }
  void occupy(Place& place);
  void start(queue::Lease lease);
  void settle(AsyncRun& run, const AttemptEnd& end, const Decision& decision);
  void refuse(const queue::Lease& lease, const invoke::FailureInfo& why);
  void write(const queue::Lease& lease, queue::Settlement settlement);
  void forget(std::uint64_t seq);
  void leave(const std::string& function_id, const std::string& space, queue::Turn turn);
  void tick();

  net::Loop& loop_;
  invoke::FunctionTable& functions_;
  queue::LeaseQueue& queue_;
  net::BodyBudget& bodies_;
  const DispatchLimits limits_;
  const OnRetry on_retry_;
  std::unordered_map<std::uint64_t, std::unique_ptr<AsyncRun>> runs_;  // by number
  // Leases of what stood in line, by function id and by space.
  std::unordered_map<std::string, std::size_t> under_way_;
  std::unordered_map<std::string, std::size_t> under_way_in_space_;
  std::size_t held_ = 0;                    // those leases, and settlements that are not on disk yet
  std::size_t held_at_once_ = 0;            // the same, of what stood in no line
  std::unordered_set<std::string> parked_;  // functions that were too busy when they were asked
  std::minstd_rand random_{std::random_device{}()};
  bool draining_ = false;
  MonotonicTime renew_at_;
  net::Loop::TimerId timer_;
  // Answers that come after the end find this false.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sterna::dispatch
