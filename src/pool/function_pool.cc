#include "pool/function_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ranges>

#include "base/log.h"

namespace sterna::pool {
namespace {

constexpr Duration kStall = std::chrono::milliseconds(5);    // a run that long gets nothing sent ahead
constexpr Duration kLoadTimeout = std::chrono::seconds(30);  // from start to READY
constexpr Duration kCancelGrace =
    std::chrono::milliseconds(100);  // a cancelled run may end by itself that long
constexpr Duration kAsyncCancelGrace = std::chrono::seconds(1);
// What the machine or the runtime is at fault for passes, mostly. If it does not, the function has to say why
// it does not run.
constexpr Duration kStartPatience = std::chrono::seconds(60);
constexpr Duration kLongestStartPause = std::chrono::seconds(2);
// A worker takes its call when it comes; one that has not done so for that long hangs, and has run none of
// it.
constexpr Duration kTakePatience = std::chrono::seconds(5);
constexpr Duration kLeastTakePatience = std::chrono::seconds(1);
// A worker that ends closes its socket a moment before it can be reaped. Killed in between, its sandbox's
// init could not tell any more how it ended.
constexpr Duration kExitPatience = std::chrono::seconds(1);
// A worker ends by itself when it has told why it cannot load.
constexpr Duration kLoadFailedGrace = std::chrono::seconds(5);
constexpr unsigned kToleratedLoadFailures = 2;
constexpr unsigned kToleratedCrashes = 9;

std::string signal_text(int signal) {
  const char* name = ::strsignal(signal);
  return "was killed by signal " + std::to_string(signal) + " (" + (name == nullptr ? "unknown" : name) + ")";
}

}  // namespace

std::string WorkerExit::text() const {
  if (!error.empty()) return "could not be started: " + error;
  if (out_of_memory) return "was killed because it used more memory than limits.memory_mb allows";
  if (signal) return signal_text(*signal);
  return "exited with code " + std::to_string(code.value_or(0));
}

FunctionPool::FunctionPool(PoolContext& context, FunctionConfig config)
    : context_(context),
      config_(std::move(config)),
      costs_{.cores = context.limits.cores, .run = {}, .pace = {}},
      is_async_(config_.is_async),
      loaded_(config_.proven),
      parents_allowed_(config_.warm_parent),
      start_not_before_(context.loop.now()) {}

FunctionPool::~FunctionPool() {
  STERNA_ASSERT(line_.empty());
}

std::uint32_t FunctionPool::concurrency() const {
  return config_.concurrency.value_or(is_async_ ? kAsyncConcurrency : 1);
}

// --- calls ---

void FunctionPool::submit(Call& call) {
  call.pool_ = this;
  call.timed_since_ = call.body_more == wire::More::kYes ? MonotonicTime::max() : MonotonicTime{};
  if (closed_ || broken_) return fail(call, Failure::kNotRunning, "the function is not running");
  if (line_.empty() && dispatch(call)) return;
  if (line_.size() >= context_.limits.queue_length) {
    return fail(call, lack(), "the function's waiting line is full");
  }
  line_.push_back(call);
  scale(context_.loop.now());
  feed();
}

bool FunctionPool::dispatch(Call& call) {
  const MonotonicTime now = context_.loop.now();
  const bool sequential = concurrency() == 1;
  views_.clear();
  for (const Member& member : workers_) {
    const Worker& worker = *member.worker;
    const auto state = worker.state();
    const bool alive = state == Worker::State::kReady || state == Worker::State::kStarting;
    views_.push_back(
        {.in_flight = worker.in_flight(),
         .accepts = alive && !member.killed && !member.load_failed && !member.hung && worker.has_room(),
         .starting = state == Worker::State::kStarting,
         .stalled =
             member.stalled || (sequential && worker.in_flight() > 0 && now - member.run_began >= kStall),
         .idle_since = worker.idle_since()});
  }
  // One whose body still comes is likely to take long, and to have become large.
  const bool small = call.body_more == wire::More::kNo &&
                     (call.body == nullptr || call.body->size() <= wire::kInitialWindow);
  const std::size_t chosen = choose_worker(views_, costs(), small);
  if (chosen == kNobody) return false;

  Member& member = workers_[chosen];
  Worker& worker = *member.worker;
  call.cold = views_[chosen].starting;
  call.dispatched = now;
  call.instance = worker.instance();
  call.version = config_.version;
  const bool begins = !call.cold && (!sequential || worker.in_flight() == 0);
  if (worker.in_flight() == 0) member.run_began = now;
  call.started = MonotonicTime{};
  if (begins) begin(call, now);
  worker.send(call);
  return true;
}

void FunctionPool::feed() {
  while (!line_.empty()) {
    Call& call = line_.front();
    line_.pop_front();
    if (dispatch(call)) continue;
    line_.push_front(call);
    return;
  }
}

void Call::clear() {
  STERNA_ASSERT(!pending());
  started = dispatched = {};
  queued = run = {};
  cold = false;
  instance.clear();
  version = 0;
}

void Call::cancel() {
  STERNA_ASSERT(pending());
  std::exchange(pool_, nullptr)->cancel(*this);
}

void Call::body_grew(wire::More more) {
  body_more = more;
  if (more == wire::More::kNo && timed_since_ == MonotonicTime::max())
    timed_since_ = pool_->context_.loop.now();
  if (worker_ != nullptr) worker_->body_grew(*this);
}

void Call::grant(std::uint32_t bytes) {
  if (worker_ != nullptr) worker_->grant(*this, bytes);
}

void FunctionPool::cancel(Call& call) {
  if (call.worker_ == nullptr) {
    line_.erase(line_.iterator_to(call));
    return;
  }
  Worker& worker = *call.worker_;
  const bool sequential = concurrency() == 1;
  worker.cancel(call, sequential ? kCancelGrace : kAsyncCancelGrace);
  Member* of = member(worker);
  if (sequential && of != nullptr) take_back_all(*of);
  feed();
}

// As far as the server can see.
void FunctionPool::begin(Call& call, MonotonicTime when) {
  call.started = when;
  call.queued = when - call.arrived;
}

void FunctionPool::fail(Call& call, Failure failure, std::string_view detail) {
  call.pool_ = nullptr;
  if (call.started == MonotonicTime{}) call.queued = context_.loop.now() - call.arrived;
  call.observer->on_failed(call, failure, detail);
}

// Back to the head of the line: it has waited longest.
void FunctionPool::give_back(Call& call) {
  ++counters_.taken_back;
  call.started = MonotonicTime{};
  call.cold = false;
  call.instance.clear();
  call.version = 0;
  line_.push_front(call);
}

void FunctionPool::take_back_all(Member& member) {
  member.stalled = true;
  std::vector<Call*> calls;
  for (Call& call : member.worker->calls()) calls.push_back(&call);
  for (Call* call : std::views::reverse(calls)) {
    if (member.worker->take_back(*call)) give_back(*call);
  }
}

// A worker is free while calls wait for others that are still starting: it can take one at once.
void FunctionPool::take_back_from_starting() {
  for (Member& member : workers_) {
    Worker& worker = *member.worker;
    if (worker.state() != Worker::State::kStarting || worker.calls().empty()) continue;
    Call& call = worker.calls().front();
    if (worker.take_back(call)) give_back(call);
    return;
  }
}

// --- what workers report ---

void FunctionPool::on_ready(Worker& worker) {
  loaded_ = true;
  broken_ = false;
  start_fails_since_.reset();
  start_failures_ = 0;
  context_.start_trouble.reset();
  is_async_ = worker.is_async();
  Member* of = member(worker);
  const MonotonicTime now = context_.loop.now();
  if (of != nullptr) {
    of->run_began = now;
    of->seat.end_trial();
  }
  for (Call& call : worker.calls()) begin(call, now);
  if (!worker.not_paused().empty()) {
    give_up_parents(worker.instance(), "no warm parent is kept: " + worker.not_paused());
  }
  context_.observer.on_loaded(config_, is_async_, worker.runtime());
  feed();
}

void FunctionPool::on_load_failed(Worker& worker, const std::string& summary, const std::string& detail) {
  Member* of = member(worker);
  if (of == nullptr) return;
  of->load_failed = true;
  of->exit_by = context_.loop.now() + kLoadFailedGrace;
  platform_log(worker.instance(), log_meter_.take(detail.empty() ? summary : detail, context_.loop.now()));
  count_failure(summary, loaded_ ? kToleratedLoadFailures : 0);
}

void FunctionPool::on_room(Worker& worker, std::optional<Duration> run) {
  Member* of = member(worker);
  if (of == nullptr) return;
  const MonotonicTime now = context_.loop.now();
  if (run) costs_.run.add(*run);
  costs_.pace.add(now - std::exchange(of->run_began, now));
  of->stalled = of->hung = false;
  of->served = worker.has_answered();
  if (of->served) failures_ = 0;
  if (!worker.calls().empty()) {
    Call& next = worker.calls().front();
    if (next.started == MonotonicTime{}) begin(next, now);
  }
  const bool free =
      worker.state() == Worker::State::kReady && !of->killed && worker.in_flight() < concurrency();
  if (free && line_.empty()) take_back_from_starting();
  if (!line_.empty()) feed();
}

void FunctionPool::on_log(Worker& worker, wire::Stream stream, std::string_view call_id,
                          std::string_view text) {
  const std::string_view kept = log_meter_.take(text, context_.loop.now());
  if (kept.empty()) return;
  const std::string_view name = stream == wire::Stream::kStdout   ? "stdout"
                                : stream == wire::Stream::kStderr ? "stderr"
                                                                  : "platform";
  context_.observer.on_log(config_, worker.instance(), name, call_id, kept);
}

std::string_view FunctionPool::logged_part(std::string_view text) {
  return log_meter_.take(text, context_.loop.now());
}

void FunctionPool::tell_dropped_lines() {
  if (log_meter_.dropped() == 0) return;
  platform_log({}, fmt::format("{} more lines were dropped: {} lines a second are logged",
                               log_meter_.dropped(), LogMeter::kLinesPerSecond));
  log_meter_.forget_dropped();
}

void FunctionPool::platform_log(std::string_view instance, std::string_view text) {
  context_.observer.on_log(config_, instance, "platform", {}, text);
}

// The calls are answered when the exit is reported: only then the reason is known.
void FunctionPool::on_disconnected(Worker& worker, std::string_view why) {
  if (why.empty()) {
    if (Member* of = member(worker.instance()); of != nullptr)
      of->exit_by = context_.loop.now() + kExitPatience;
    return;
  }
  platform_log(worker.instance(), "the worker broke the protocol and is stopped: " + std::string(why));
  context_.launcher.kill(worker.instance());
}

void FunctionPool::on_exited(const std::string& instance, const WorkerExit& exit) {
  Member* of = member(instance);
  if (of == nullptr) return;
  of->worker->drain();
  of = member(instance);  // by what it still said others may have been started, and stand in its place
  const bool retired = of->leave_by != MonotonicTime::max();
  const bool was_parent = !of->seat.taken();
  const bool fork_failed = of->forked && !exit.error.empty();
  const bool expected =
      of->killed || of->load_failed || (retired && (exit.code == 0 || was_parent)) || fork_failed;
  const bool served = of->served;
  const bool forked = of->forked;
  end_calls(*of, exit);
  of = member(instance);  // the callers may have called again

  context_.loop.dispose(std::move(of->worker));
  workers_.erase(workers_.begin() + (of - workers_.data()));
  if (workers_.empty()) tell_dropped_lines();  // perhaps no tick comes any more
  if (exit.out_of_memory) ++counters_.out_of_memory;
  if (fork_failed && !closed_) on_fork_failed(instance, exit);
  if (!retired) keep_parent_until_ = context_.loop.now() + config_.idle;
  if (was_parent && !expected) {
    on_parent_exited(instance, exit);
  } else if (!expected && !exit.error.empty()) {
    on_start_failed(instance, exit.error);
  } else if (!expected) {
    if (forked && !served)
      give_up_parents(
          instance, "no warm parent is kept: a worker that was forked from it ended before its first answer");
    ++counters_.crashes;
    platform_log(instance, "the worker " + exit.text());
    if (!served)
      count_failure("the worker " + exit.text(), loaded_ ? kToleratedCrashes : kToleratedLoadFailures);
  }
  if (closed_) return;
  feed();
  scale(context_.loop.now());
  feed();
}

void FunctionPool::end_calls(Member& member, const WorkerExit& exit) {
  Worker& worker = *member.worker;
  take_back_all(member);
  expire_line(context_.loop.now());  // or a call could come to such an end again and again
  const Failure failure = exit.out_of_memory ? Failure::kOutOfMemory : Failure::kWorkerDied;
  while (!worker.calls().empty()) {
    Call& call = worker.calls().front();
    // Of one that was sent ahead the worker has not told that it had begun.
    if (call.started == MonotonicTime{}) begin(call, std::max(call.dispatched, member.run_began));
    call.run = context_.loop.now() - call.started;
    worker.cancel(call, Duration::zero());
    fail(call, failure, "the worker " + exit.text());
  }
  if (!closed_ && !broken_) return;
  while (!line_.empty()) {  // no worker is started for what came back
    Call& call = line_.front();
    line_.pop_front();
    fail(call, Failure::kNotRunning, "the function is not running");
  }
}

// No code of the function's has run. It is tried again and again, and its calls wait as long as they may.
void FunctionPool::on_start_failed(std::string_view instance, const std::string& why) {
  const MonotonicTime now = context_.loop.now();
  context_.start_trouble = now;
  if (!start_fails_since_) {
    start_fails_since_ = now;
    platform_log(instance, "a worker could not be started, which is tried again: " + why);
    log::warn("a worker cannot be started, which is tried again",
              {{"space", std::string_view(config_.space)},
               {"function", std::string_view(config_.name)},
               {"error", std::string_view(why)}});
  }
  if (now - *start_fails_since_ >= kStartPatience)
    return count_failure("workers cannot be started: " + why, kToleratedLoadFailures);
  start_not_before_ = now + std::min(restart_delay(++start_failures_), kLongestStartPause);
}

void FunctionPool::count_failure(const std::string& reason, unsigned tolerated) {
  ++failures_;
  const Duration delay = restart_delay(failures_ > 2 ? failures_ - 2 : 0);
  start_not_before_ = context_.loop.now() + delay;
  if (failures_ <= tolerated || closed_) return;
  const Duration pause = std::max<Duration>(delay, std::chrono::seconds(1));
  start_not_before_ = context_.loop.now() + pause;
  broken_ = true;
  CallList waiting;
  waiting.swap(line_);
  while (!waiting.empty()) {
    Call& call = waiting.front();
    waiting.pop_front();
    fail(call, Failure::kNotRunning, reason);
  }
  context_.observer.on_broken(config_, reason, pause);
}

void FunctionPool::close(FunctionPool* heir, Leave leave) {
  closed_ = true;
  const MonotonicTime now = context_.loop.now();
  for (Member& member : workers_) {
    take_back_all(member);
    if (leave == Leave::kAfterCalls) {
      retire(member, now);
      continue;
    }
    while (!member.worker->calls().empty()) {
      Call& call = member.worker->calls().front();
      member.worker->cancel(call, Duration::zero());
      fail(call, Failure::kStopped, "the function was stopped");
    }
    kill(member);
  }
  CallList waiting;
  waiting.swap(line_);
  while (!waiting.empty()) {
    Call& call = waiting.front();
    waiting.pop_front();
    if (heir != nullptr) {
      heir->submit(call);
    } else {
      fail(call, Failure::kNotRunning, "the function was stopped");
    }
  }
}

// --- time ---

bool FunctionPool::dormant() const {
  const bool starts = !closed_ && (!loaded_ || broken_ || config_.min_replicas > 0);
  return workers_.empty() && line_.empty() && !starts;
}

void FunctionPool::tick(MonotonicTime now) {
  if (concurrency() > 1 && busy() + 1 >= context_.limits.cores) context_.processors.look(now);
  for (std::size_t i = 0; i < workers_.size(); ++i) check_member(workers_[i], now);
  expire_line(now);
  if (log_meter_.is_due(now)) tell_dropped_lines();
  if (closed_) return;
  if ((broken_ || !loaded_) && workers_.empty() && now >= start_not_before_) start_worker();
  feed();
  scale(now);
  feed();
  stop_idle(now);
  keep_minimum();
  retire_lonely_parent(now);
}

void FunctionPool::expire_line(MonotonicTime now) {
  while (!line_.empty() && now - line_.front().arrived >= config_.queue_wait) {
    Call& call = line_.front();
    line_.pop_front();
    const bool none = start_fails_since_ && ready_replicas() == 0;
    fail(call, none ? Failure::kCannotStart : lack(), "no worker became free in time");
  }
}

void FunctionPool::check_member(Member& member, MonotonicTime now) {
  Worker& worker = *member.worker;
  if (member.killed) return;
  if (now >= member.exit_by) {
    member.exit_by = MonotonicTime::max();
    return context_.launcher.kill(worker.instance());  // what it has said was its last word, and it runs on
  }
  if (worker.state() == Worker::State::kLost) return;
  if (now >= member.leave_by) {
    if (!has_streamed_call_with_time_left(worker, now)) return kill(member);
    retire(member, now);  // once more, for the time that it needs after that
  }
  if (worker.state() == Worker::State::kStarting) {
    if (!worker.calls().empty() && now - worker.calls().front().arrived >= config_.queue_wait)
      take_back_all(member);
    if (now - member.born < kLoadTimeout || member.load_failed) return;
    kill(member);
    member.load_failed = true;
    return count_failure("the handler did not load within 30 seconds", loaded_ ? kToleratedLoadFailures : 0);
  }
  const bool sequential = concurrency() == 1;
  if (hangs(member, now)) {
    platform_log(worker.instance(),
                 "the worker did not take its call in time and is stopped; another runs it");
    take_back_all(member);
    return kill(member);
  }
  if (worker.stuck(now)) {
    if (sequential || worker.calls().empty()) return kill(member);
    retire(member, now);
  }
  if (worker.in_flight() > 1 &&
      (sequential ? now - member.run_began >= kStall : worker.keeps_waiting(now - patience()))) {
    take_back_all(member);
    // Of one at a time, one runs; what else has begun is over, and its answer waits in the worker for those
    // of the next calls. Of many, those that are over may wait behind one that lets nobody else run.
    if (worker.in_flight() > 1) worker.ring();
  }

  for (Call& call : worker.calls()) {
    // One a tick: what its observer does next may change the list.
    if (call.started != MonotonicTime{} && now - std::max(call.started, call.timed_since_) >= config_.timeout)
      return time_out(member, call);
  }
}

// The time of a call whose body came while it ran has begun late, or not yet: a worker that leaves has it,
// too.
bool FunctionPool::has_streamed_call_with_time_left(Worker& worker, MonotonicTime now) const {
  return std::ranges::any_of(worker.calls(), [&](const Call& call) {
    return call.timed_since_ != MonotonicTime{} && now - call.timed_since_ <= config_.timeout;
  });
}

// It has calls and has taken none of them for too long.
bool FunctionPool::hangs(const Member& member, MonotonicTime now) const {
  Worker& worker = *member.worker;
  if (worker.calls().empty() || worker.calls().size() < worker.in_flight()) return false;
  const Duration patience = std::max(std::min(kTakePatience, config_.timeout / 2), kLeastTakePatience);
  // It could not take one before it was ready, or had answered the last one.
  const Call& first = worker.calls().front();
  MonotonicTime since = std::max(first.dispatched, member.run_began);
  if (config_.request_buffering) since = std::max(since, first.timed_since_);  // it gathers the body
  return now - since >= patience && !worker.has_begun();
}

// One run at a time: the worker is stopped. Many at a time: the run is cancelled first, and the worker only
// leaves when that does not help, so that its other calls may end.
void FunctionPool::time_out(Member& member, Call& call) {
  call.run = context_.loop.now() - call.started;
  const bool sequential = concurrency() == 1;
  member.worker->cancel(call, sequential ? Duration::zero() : kAsyncCancelGrace);
  take_back_all(member);
  if (sequential) {
    kill(member);
  } else {
    member.hung = true;
  }
  fail(call, Failure::kTimeout, "the run took longer than limits.timeout_seconds");
}

}  // namespace sterna::pool
