// FunctionPool: which workers there are: started as calls, quota and machine allow, forked from a parent,
// told to go when nobody needs them.
#include <algorithm>

#include "pool/function_pool.h"

namespace sterna::pool {
namespace {

constexpr Duration kLeaveGrace = std::chrono::seconds(5);  // between SHUTDOWN and SIGKILL
constexpr unsigned kToleratedLostParents = 2;

}  // namespace

FunctionPool::Member* FunctionPool::member(const Worker& worker) {
  const auto found =
      std::ranges::find_if(workers_, [&](const Member& m) { return m.worker.get() == &worker; });
  return found == workers_.end() ? nullptr : &*found;
}

FunctionPool::Member* FunctionPool::member(std::string_view instance) {
  const auto found =
      std::ranges::find_if(workers_, [&](const Member& m) { return m.worker->instance() == instance; });
  return found == workers_.end() ? nullptr : &*found;
}

std::size_t FunctionPool::replicas() const {
  return static_cast<std::size_t>(std::ranges::count_if(workers_, [](const Member& m) {
    const auto state = m.worker->state();
    return !m.killed && !m.load_failed &&
           (state == Worker::State::kReady || state == Worker::State::kStarting);
  }));
}

std::size_t FunctionPool::ready_replicas() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      workers_, [](const Member& m) { return !m.killed && m.worker->state() == Worker::State::kReady; }));
}

std::size_t FunctionPool::running() const {
  std::size_t calls = 0;
  for (const Member& member : workers_) calls += member.worker->in_flight();
  return calls;
}

void FunctionPool::probe() {
  start_worker();
}

FunctionPool::Member* FunctionPool::parent() {
  const auto found = std::ranges::find_if(workers_, [](const Member& m) {
    return m.worker->state() == Worker::State::kPaused && !m.killed && !m.seat.taken();
  });
  return found == workers_.end() ? nullptr : &*found;
}

bool FunctionPool::parent_is_loading() const {
  return std::ranges::any_of(workers_, [](const Member& m) {
    return m.may_pause && m.worker->state() == Worker::State::kStarting && !m.killed && !m.load_failed;
  });
}

bool FunctionPool::start_worker() {
  if (closed_ || context_.loop.now() < start_not_before_) return false;
  if (!config_.refusal.empty()) {
    if (!broken_) count_failure(config_.refusal, 0);
    return false;
  }
  Origin origin;
  origin.on_trial = !loaded_;
  if (const Member* of = parent()) {
    origin.parent = of->worker->instance();
  } else if (parents_allowed_) {
    origin.may_pause = !parent_is_loading();
    if (!origin.may_pause && slow_to_load_) return false;  // forks of it will be sooner there
  }
  if (!has_room()) return false;
  const auto kind = is_share_used_up() ? Seat::Kind::kTrial : Seat::Kind::kOwn;
  auto worker = Worker::start(context_.loop, *this, context_.launcher, *this, context_.ids.next(), config_,
                              origin, context_.next_call_number, context_.guard);
  if (!worker) {
    on_start_failed({}, worker.error().detail);
    return false;
  }
  ++counters_.cold_starts;
  Member& added = workers_.emplace_back();
  added.worker = std::move(*worker);
  added.seat = Seat(context_.workers_total, config_.share, config_.memory_bytes, kind);
  added.born = added.run_began = context_.loop.now();
  added.may_pause = origin.may_pause;
  added.forked = !origin.parent.empty();
  return true;
}

// Of a version that has not been loaded yet one worker is tried though the share or the server's total is
// used up, the only one beyond it: else a function whose replicas are all that there may be could never be
// changed.
bool FunctionPool::has_room() {
  if (is_share_used_up()) {
    const SpaceShare& share = *config_.share;
    const bool may_try = !loaded_ && share.may_try();
    // One that is idle has to be gone first.
    if (!may_try && !share.will_have_room(config_.memory_bytes)) context_.evict_idle(config_.space);
    if (!may_try) return false;
  }
  const std::size_t most = context_.limits.max_workers_total;
  return context_.workers_total < most || context_.evict_idle({}) ||
         (!loaded_ && context_.workers_total == most);
}

bool FunctionPool::is_share_used_up() const {
  return config_.share && !config_.share->has_room(config_.memory_bytes);
}

// Why there is no worker for a call.
Failure FunctionPool::lack() const {
  const std::size_t own = replicas();
  if (ready_replicas() == 0 && failures_ > 0) return Failure::kEndsAtStart;
  if (ready_replicas() == 0 && own > 0) return Failure::kLoading;
  if (own >= config_.max_replicas) return Failure::kNoCapacity;
  if (is_share_used_up()) return Failure::kSpaceFull;
  const bool full = context_.workers_total >= context_.limits.max_workers_total;
  return full ? Failure::kServerFull : Failure::kNoCapacity;
}

void FunctionPool::scale(MonotonicTime now) {
  if (broken_ || line_.empty()) return;
  Load load{.waiting = line_.size(),  // and those that were sent to workers which are not ready
            .oldest_wait = now - line_.front().arrived,
            .concurrency = concurrency(),
            .max_workers = config_.max_replicas,
            .patience = patience()};
  for (const Member& member : workers_) {
    const auto state = member.worker->state();
    if (member.killed || member.load_failed || state == Worker::State::kRetiring ||
        state == Worker::State::kLost || state == Worker::State::kPaused)
      continue;
    ++load.workers;
    if (state != Worker::State::kStarting) continue;
    ++load.starting;
    load.waiting += member.worker->calls().size();
  }
  for (std::size_t wanted = workers_to_start(load, costs_.run); wanted > 0 && start_worker(); --wanted) {
  }
}

const Costs& FunctionPool::costs() {
  costs_.concurrency = concurrency();
  costs_.has_free_core = context_.processors.has_free();
  return costs_;
}

Duration FunctionPool::patience() {
  return pool::patience(busy(), costs());
}

std::size_t FunctionPool::busy() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(workers_, [](const Member& m) { return m.worker->in_flight() > 0; }));
}

void FunctionPool::keep_minimum() {
  if (!loaded_ || broken_ || closed_) return;
  while (replicas() < config_.min_replicas && start_worker()) {
  }
}

void FunctionPool::kill(Member& member) {
  member.killed = true;
  member.seat.leave();
  context_.launcher.kill(member.worker->instance());
}

void FunctionPool::retire(Member& member, MonotonicTime now) {
  member.leave_by = now + kLeaveGrace + (member.worker->in_flight() > 0 ? config_.timeout : Duration::zero());
  member.seat.leave();
  member.worker->retire();
}

std::optional<MonotonicTime> FunctionPool::oldest_idle() const {
  std::optional<MonotonicTime> oldest;
  if (replicas() <= config_.min_replicas) return oldest;
  for (const Member& member : workers_) {
    const Worker& worker = *member.worker;
    if (worker.state() != Worker::State::kReady || worker.in_flight() > 0 || member.killed) continue;
    if (!oldest || worker.idle_since() < *oldest) oldest = worker.idle_since();
  }
  return oldest;
}

void FunctionPool::retire_oldest_idle() {
  const auto oldest = oldest_idle();
  for (Member& member : workers_) {
    const Worker& worker = *member.worker;
    if (worker.state() == Worker::State::kReady && worker.in_flight() == 0 && worker.idle_since() == oldest) {
      return retire(member, context_.loop.now());
    }
  }
}

void FunctionPool::stop_idle(MonotonicTime now) {
  std::size_t left = replicas();
  for (Member& member : workers_) {
    const bool too_many = config_.share && config_.share->is_over();  // those leave at once
    if (!too_many && left <= config_.min_replicas) return;
    const Worker& worker = *member.worker;
    const bool idle = worker.state() == Worker::State::kReady && worker.in_flight() == 0 && !member.killed;
    if (!idle || (!too_many && now - worker.idle_since() < config_.idle)) continue;
    retire(member, now);
    --left;
  }
}

// --- the parent ---

// What was sent to it goes to the first replica, with the others that wait.
void FunctionPool::on_paused(Worker& worker) {
  Member* of = member(worker);
  if (of == nullptr) return;
  take_back_all(*of);
  if (!worker.calls().empty()) return on_disconnected(worker, "it says PAUSED and has claimed a call");
  slow_to_load_ = true;
  of->seat.give_back();
  if (!start_worker()) return;
  feed();
  scale(context_.loop.now());
  feed();
}

void FunctionPool::give_up_parents(std::string_view instance, std::string_view why) {
  if (!std::exchange(parents_allowed_, false)) return;
  slow_to_load_ = false;
  platform_log(instance, why);
  if (Member* of = parent()) retire(*of, context_.loop.now());
}

void FunctionPool::on_parent_exited(const std::string& instance, const WorkerExit& exit) {
  platform_log(instance, "the warm parent " + exit.text());
  if (++lost_parents_ > kToleratedLostParents)
    give_up_parents(instance, "no warm parent is kept: several have ended by themselves");
}

// The parent may be at fault: the next one, if any, is a fresh one.
void FunctionPool::on_fork_failed(const std::string& instance, const WorkerExit& exit) {
  platform_log(instance, "the worker could not be forked from the warm parent, another is started without: " +
                             exit.error);
  if (Member* of = parent()) retire(*of, context_.loop.now());
  if (++lost_parents_ > kToleratedLostParents)
    give_up_parents(instance, "no warm parent is kept: several could not be forked");
}

// A function without calls ends with no process at all. A worker that crashed or was stopped for its time is
// no sign that no more calls come.
void FunctionPool::retire_lonely_parent(MonotonicTime now) {
  Member* const of = parent();
  const bool lonely = workers_.size() == 1 && line_.empty() && now >= keep_parent_until_;
  if (of != nullptr && lonely) retire(*of, now);
}

}  // namespace sterna::pool
