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

// Whether the function will not take calls before somebody does something about it.
bool is_shut(const invoke::FunctionEntry& entry) {
  return entry.status == registry::FunctionStatus::kStopped ||
         entry.status == registry::FunctionStatus::kFailed;
}

std::size_t count_in(const std::unordered_map<std::string, std::size_t>& counts, const std::string& key) {
  const auto found = counts.find(key);
  return found == counts.end() ? 0 : found->second;
}

void take_one(std::unordered_map<std::string, std::size_t>& counts, const std::string& key) {
  const auto found = counts.find(key);
  if (--found->second == 0) counts.erase(found);
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
    if (count_in(under_way_, function.id) < limit_of(*entry) && has_share(function))
      return queue::Gate::kOpen;
  }
  // Who does not run is woken when it runs again, and costs nothing until then.
  if (entry != nullptr && invoke::admit(*entry) == nullptr) parked_.insert(function.id);
  return queue::Gate::kNotNow;
}

// Who has nothing under way may begin as long as there is a place.
bool Dispatcher::has_share(const queue::FunctionName& function) const {
  const std::size_t own = count_in(under_way_, function.id);
  const std::size_t free = limits_.max_runs - held_;
  return own == 0 || (own < free && count_in(under_way_in_space_, function.space) < free);
}

// The function's line of callers says when there is a worker, as to synchronous callers. One that is shut
// answers so.
queue::Gate Dispatcher::may_run_at_once(const queue::FunctionName& function) const {
  const invoke::FunctionEntry* entry = functions_.find_id(function.id);
  const bool answers = entry != nullptr && (invoke::admit(*entry) == nullptr || is_shut(*entry));
  return answers ? queue::Gate::kOpen : queue::Gate::kNotNow;
}

void Dispatcher::on_turn_end() {
  while (!draining_ && take(queue::Turn::kAtOnce)) {
  }
  while (!draining_ && held_ < limits_.max_runs && take(queue::Turn::kInLine)) {
  }
}

bool Dispatcher::take(queue::Turn turn) {
  // The lease may come in a later turn, or not at all: its place is taken from now on.
  auto place = std::make_shared<Place>();
  place->turn = turn;
  const auto gate = [&](const queue::FunctionName& asked) {
    place->function_id = asked.id;
    place->space = asked.space;
    return turn == queue::Turn::kAtOnce ? may_run_at_once(asked) : may_run(asked);
  };
  const bool taken =
      queue_.take(turn, gate, kLease, [this, alive = alive_, place](Result<queue::Lease> lease) {
        if (!*alive) return;
        occupy(*place);
        if (!lease) return leave(place->function_id, place->space, place->turn);
        start(std::move(*lease));
      });
  if (taken) occupy(*place);
  return taken;
}

void Dispatcher::wake(const std::string& function_id) {
  parked_.erase(function_id);
  queue_.wake(function_id);
  wanted();
}

void Dispatcher::occupy(Place& place) {
  if (std::exchange(place.occupied, true)) return;
  ++held(place.turn);
  if (place.turn == queue::Turn::kAtOnce) return;
  ++under_way_[place.function_id];
  ++under_way_in_space_[place.space];
}

void Dispatcher::start(queue::Lease lease) {
  invoke::FunctionEntry* entry = functions_.find_id(lease.function.id);
  const invoke::FailureInfo* refusal = entry == nullptr ? nullptr : invoke::admit(*entry);
  if (refusal != nullptr && lease.turn == queue::Turn::kAtOnce && is_shut(*entry)) {
    refuse(lease, *refusal);
    return leave(lease.function.id, lease.function.space, lease.turn);
  }
  if (entry == nullptr || refusal != nullptr || draining_) {
    queue_.give_back(lease.receipt, Duration::zero());
    return leave(lease.function.id, lease.function.space, lease.turn);
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
                                    .unspent = lease.attempt - 1 - lease.spent,
                                    .max_attempts = lease.max_attempts,
                                    .left = lease.expires_at - loop_.clock().now(),
                                    .random = std::uniform_real_distribution<>(0, 1)(random_),
                                    // The next server runs what this one could not.
                                    .turn = draining_ ? queue::Turn::kInLine : lease.turn});
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
                               .cost = decision.cost,
                               .state = decision.state,
                               .reason = decision.reason,
                               .answer = {}};
  settlement.attempt->reason = decision.reason;
  if (decision.next == Decision::Next::kRefuse) settlement.attempt.reset();
  if (decision.next == Decision::Next::kRetry) {
    settlement.retry_at = loop_.clock().wall() + std::chrono::ceil<std::chrono::milliseconds>(decision.wait);
    on_retry_(lease.function);
  } else {
    settlement.answer.emplace(run.take_answer());
  }
  write(lease, std::move(settlement));
  forget(lease.receipt.seq);
}

// It was not run, and who waits for it is told so.
void Dispatcher::refuse(const queue::Lease& lease, const invoke::FailureInfo& why) {
  queue::Answer answer{.headers = {}, .body = net::Body(bodies_)};
  answer_problem(answer, why, lease.id);
  write(lease, {.attempt = {},
                .version = 0,
                .retry_at = {},
                .state = queue::State::kExpired,
                .reason = std::string(why.reason),
                .answer = std::move(answer)});
}

// Until it is on disk it counts as held: a disk that stands still must not let answers pile up.
void Dispatcher::write(const queue::Lease& lease, queue::Settlement settlement) {
  ++held(lease.turn);
  queue_.settle(
      lease.receipt, std::move(settlement),
      [this, alive = alive_, id = lease.id, turn = lease.turn](const Result<void>& settled) {
        if (!*alive) return;
        --held(turn);
        wanted();
        if (settled) return;
        log::info("an attempt ended after its lease",
                  {{"call_id", std::string_view(id)}, {"reason", std::string_view(settled.error().reason)}});
      });
}

// The run is over; the function may have room for another.
void Dispatcher::forget(std::uint64_t seq) {
  const auto run = runs_.extract(seq);
  const queue::Lease& lease = run.mapped()->lease();
  leave(lease.function.id, lease.function.space, lease.turn);
}

void Dispatcher::leave(const std::string& function_id, const std::string& space, queue::Turn turn) {
  --held(turn);
  if (turn == queue::Turn::kAtOnce) return;
  take_one(under_way_, function_id);
  take_one(under_way_in_space_, space);
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

bool Dispatcher::is_running(const queue::Receipt& receipt) const {
  const AsyncRun* run = run_of(receipt);
  return run != nullptr && run->has_begun();
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
