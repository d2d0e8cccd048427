#include "dispatch/dispatcher.h"

#include <algorithm>

#include "base/log.h"

namespace sterna::dispatch {
namespace {

constexpr Duration kTick =
    std::chrono::milliseconds(50);  // how soon a function that can run again is noticed
constexpr Duration kLease = std::chrono::seconds(60);
constexpr Duration kRenew = kLease / 3;

// How many runs of the function may be under way. A replica stays free for synchronous callers.
std::size_t limit_of(const invoke::FunctionEntry& entry) {
  if (entry.async.concurrency) return static_cast<std::size_t>(*entry.async.concurrency);
  const std::size_t replicas = std::max<std::size_t>(1, entry.active->config().max_replicas);
  return std::max<std::size_t>(1, replicas - 1) * entry.active->concurrency();
}

}  // namespace

Dispatcher::Dispatcher(net::Loop& loop, invoke::FunctionTable& functions, queue::LeaseQueue& queue,
                       net::BodyBudget& bodies, const DispatchLimits& limits, OnRetry on_retry)
    : loop_(loop),
      functions_(functions),
      queue_(queue),
      bodies_(bodies),
      limits_(limits),
      on_retry_(std::move(on_retry)),
      renew_at_(loop.clock().now() + kRenew) {
  tick();
  wanted();  // what the queue holds from before, for which nobody else asks
}

Dispatcher::~Dispatcher() {
  *alive_ = false;
  loop_.cancel(timer_);
  loop_.forget(*this);
}

void Dispatcher::tick() {
  if (!parked_.empty()) {
    for (const std::string& id : std::exchange(parked_, {})) queue_.wake(id);
    wanted();
  }
  if (loop_.clock().now() >= renew_at_) {
    renew_at_ = loop_.clock().now() + kRenew;
    for (const auto& [seq, run] : runs_) {
      // A lease that is over was revoked: then the run is not here any more.
      if (const Status renewed = queue_.renew(run->lease().receipt, kLease); !renewed)
        log::warn("a lease could not be renewed", {{"call_id", std::string_view(run->lease().id)}});
    }
  }
  timer_ = loop_.after(kTick, [this] { tick(); });
}

// --- take ---

queue::Gate Dispatcher::may_run(const queue::FunctionName& function) {
  const invoke::FunctionEntry* entry = functions_.find_id(function.id);
  if (entry != nullptr && invoke::admit(*entry) == nullptr && entry->active->waiting() == 0) {
    const auto count = under_way_.find(function.id);
    if (count == under_way_.end() || count->second < limit_of(*entry)) return queue::Gate::kOpen;
  }
  // Who does not run is woken when it runs again, and costs nothing until then.
  if (entry != nullptr && invoke::admit(*entry) == nullptr) parked_.insert(function.id);
  return queue::Gate::kNotNow;
}

void Dispatcher::on_turn_end() {
  while (!draining_ && held_ < limits_.max_runs) {
    // The lease may come in a later turn, or not at all: its place is taken from now on.
    auto place = std::make_shared<Place>();
    const auto gate = [&](const queue::FunctionName& asked) {
      place->function_id = asked.id;
      return may_run(asked);
    };
    const bool taken = queue_.take(gate, kLease, [this, alive = alive_, place](Result<queue::Lease> lease) {
      if (!*alive) return;
      occupy(*place);
      if (!lease) return leave(place->function_id);
      start(std::move(*lease));
    });
    if (!taken) return;
    occupy(*place);
  }
}

void Dispatcher::wake(const std::string& function_id) {
  parked_.erase(function_id);
  queue_.wake(function_id);
  wanted();
}

void Dispatcher::occupy(Place& place) {
  if (std::exchange(place.occupied, true)) return;
  ++held_;
  ++under_way_[place.function_id];
}

void Dispatcher::start(queue::Lease lease) {
  invoke::FunctionEntry* entry = functions_.find_id(lease.function.id);
  if (entry == nullptr || invoke::admit(*entry) != nullptr || draining_) {
    queue_.give_back(lease.receipt, Duration::zero());
    return leave(lease.function.id);
  }
  const std::uint64_t seq = lease.receipt.seq;
  auto made = std::make_unique<AsyncRun>(loop_.clock(), functions_, bodies_, limits_.max_result_bytes,
                                         std::move(lease), static_cast<RunOwner&>(*this));
  AsyncRun& run = *made;
  runs_[seq] = std::move(made);
  run.start(*entry, loop_.now());
}

// --- settle ---

void Dispatcher::on_run_ended(AsyncRun& run, const AttemptEnd& end) {
  const queue::Lease& lease = run.lease();
  const invoke::FunctionEntry* entry = functions_.find_id(lease.function.id);
  const Decision decision = decide(end, entry == nullptr ? api::AsyncPolicy{} : entry->async,
                                   {.spent = lease.spent,
                                    .max_attempts = lease.max_attempts,
                                    .now = loop_.clock().wall(),
                                    .expires_at = lease.expires_at,
                                    .random = std::uniform_real_distribution<>(0, 1)(random_)});
  if (decision.next == Decision::Next::kGiveBack) {
    queue_.give_back(lease.receipt, decision.wait);
    return forget(lease.receipt.seq);
  }
  settle(run, end, decision);
}

void Dispatcher::settle(AsyncRun& run, const AttemptEnd& end, const Decision& decision) {
  const queue::Lease& lease = run.lease();
  queue::Settlement settlement{.attempt = run.attempt(end),
                               .version = run.version(),
                               .retry_at = {},
                               .state = decision.state,
                               .reason = decision.reason,
                               .answer = {}};
  settlement.attempt.reason = decision.reason;
  if (decision.next == Decision::Next::kRetry) {
    settlement.retry_at = loop_.clock().wall() + std::chrono::ceil<std::chrono::milliseconds>(decision.wait);
    on_retry_(lease.function);
  } else {
    settlement.answer.emplace(run.take_answer());
  }
  // Until it is on disk it counts as held: a disk that stands still must not let answers pile up.
  ++held_;
  queue_.settle(
      lease.receipt, std::move(settlement),
      [this, alive = alive_, id = lease.id](const Result<void>& settled) {
        if (!*alive) return;
        --held_;
        wanted();
        if (settled) return;
        log::info("an attempt ended after its lease",
                  {{"call_id", std::string_view(id)}, {"reason", std::string_view(settled.error().reason)}});
      });
  forget(lease.receipt.seq);
}

// The run is over; the function may have room for another.
void Dispatcher::forget(std::uint64_t seq) {
  const auto run = runs_.extract(seq);
  leave(run.mapped()->lease().function.id);
}

void Dispatcher::leave(const std::string& function_id) {
  --held_;
  const auto count = under_way_.find(function_id);
  if (--count->second == 0) under_way_.erase(count);
  if (parked_.erase(function_id) != 0) queue_.wake(function_id);
  wanted();
}

AsyncRun* Dispatcher::run_of(const queue::Receipt& receipt) const {
  const auto run = runs_.find(receipt.seq);
  return run == runs_.end() || run->second->lease().receipt != receipt ? nullptr : run->second.get();
}

std::optional<queue::Interruption> Dispatcher::interruption(const queue::Receipt& receipt) const {
  const AsyncRun* run = run_of(receipt);
  return run == nullptr ? std::nullopt : run->interruption();
}

void Dispatcher::revoke(const queue::Receipt& receipt, std::string_view reason) {
  AsyncRun* run = run_of(receipt);
  if (run == nullptr) return;
  run->cancel(reason == queue::kCancelled         ? "the invocation was cancelled"
              : reason == queue::kFunctionDeleted ? "the function was deleted"
                                                  : "the lease of the invocation is over");
  forget(receipt.seq);
}

void Dispatcher::drain() {
  draining_ = true;
}

}  // namespace sterna::dispatch
