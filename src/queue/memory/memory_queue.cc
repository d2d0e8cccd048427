#include "queue/memory/memory_queue.h"

#include <algorithm>
#include <tuple>

#include "queue/expired_answer.h"
#include "queue/failures.h"

namespace sterna::queue {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(100);
constexpr std::chrono::seconds kUnreadablePause(1);
constexpr std::chrono::seconds kUnwritablePause(1);

}  // namespace

MemoryQueue::MemoryQueue(net::Loop& loop, net::BodyBudget& bodies, const QueueLimits& limits)
    : loop_(loop), bodies_(bodies), limits_(limits) {
  tick();
}

MemoryQueue::~MemoryQueue() {
  *alive_ = false;
  loop_.cancel(timer_);
}

void MemoryQueue::restart() {
  *alive_ = false;
  alive_ = std::make_shared<bool>(true);
  for (auto& [seq, entry] : entries_) {
    entry.held.reset();
    entry.may_have_run = true;
    entry.sending = entry.superseded = false;
    entry.delivery_since = loop_.clock().now();
    // Of what waits, only the wall clock tells for how long it has.
    if (entry.ends) {
      entry.ends = loop_.clock().now() + (entry.expires_at - now());
    } else {
      entry.patience = entry.expires_at - entry.due_at;
    }
  }
  looked_at_ = {};
  for (auto& [id, lane] : lanes_) lane.parked = lane.held_up = false;
}

void MemoryQueue::post(net::Job job) {
  loop_.post([alive = alive_, job = std::move(job)]() mutable {
    if (*alive) job();
  });
}

// --- time ---

void MemoryQueue::tick() {
  end_leases();
  begin_waits();
  expire();
  remove_old();
  const auto may_be_taken_now = [this](const auto& known) { return may_be_taken(known.second); };
  if (observer_ != nullptr && std::ranges::any_of(entries_, may_be_taken_now)) observer_->on_ready();
  if (pending_deliveries() > 0) delivery_wanted_();
  timer_ = loop_.after(kTick, [this] { tick(); });
}

void MemoryQueue::end_leases() {
  for (auto& [seq, entry] : entries_) {
    if (entry.held && !entry.held->settling && entry.held->until <= loop_.clock().now())
      revoke(entry, kLeaseOver);
  }
}

// A wall clock that has jumped past its time says nothing of how long it has been due.
void MemoryQueue::begin_waits() {
  const MonotonicTime at = loop_.clock().now();
  for (auto& [seq, entry] : entries_) {
    if (!entry.waits() || entry.ends || entry.due_at > now()) continue;
    entry.ends = std::max(at - (now() - entry.due_at), looked_at_) + entry.patience;
  }
  looked_at_ = at;
}

// What runs may end; what waits will not run any more.
void MemoryQueue::expire() {
  for (auto& [seq, entry] : entries_) {
    if (!entry.waits() || entry.held || !entry.ends || *entry.ends > loop_.clock().now()) continue;
    if (entry.turn == Turn::kAtOnce) forget_key(entry);
    ExpiredAnswer answer = expired_answer(entry.record.id);
    entry.record.status_code = answer.status_code;
    entry.answer = Kept{.header_count = answer.header_count,
                        .headers = std::move(answer.headers),
                        .body = std::make_shared<const std::string>(std::move(answer.body))};
    end(entry, State::kExpired, kExpired);
  }
}

void MemoryQueue::remove_old() {
  std::erase_if(entries_, [this](const auto& known) {
    const Record& record = known.second.record;
    return record.ended_at && record.delivery != Delivery::kPending &&
           now() - *record.ended_at > limits_.keep_settled && !has_live_key(known.second);
  });
  for (auto& [id, lane] : lanes_)
    std::erase_if(lane.keys, [this](const auto& key) { return key.second.forgotten_at < now(); });
}

bool MemoryQueue::has_live_key(const Entry& entry) const {
  const auto lane = lanes_.find(entry.record.function.id);
  return lane != lanes_.end() && std::ranges::any_of(lane->second.keys, [&](const auto& key) {
           return key.second.id == entry.record.id && key.second.forgotten_at > now();
         });
}

// The next call with the key of this one, which has not run, runs.
void MemoryQueue::forget_key(const Entry& entry) {
  std::erase_if(lanes_[entry.record.function.id].keys,
                [&](const auto& key) { return key.second.id == entry.record.id; });
}

// --- enqueue ---

void MemoryQueue::enqueue(Submission submission, Done<Accepted> done) {
  post([this, submission = std::move(submission), done = std::move(done)]() mutable {
    auto accepted = accept(submission);
    if (accepted && !accepted->repeated && observer_ != nullptr) {
      observer_->on_accepted(submission.function);
      observer_->on_ready();
    }
    done(std::move(accepted));
  });
}

Result<Accepted> MemoryQueue::accept(Submission& submission) {
  Lane& lane = lanes_[submission.function.id];
  lane.function = submission.function;
  if (lane.forgotten) return function_gone();
  auto earlier = repeated(lane, submission);
  if (!earlier) return std::unexpected(earlier.error());
  if (*earlier) return std::move(**earlier);
  if (submission.turn == Turn::kInLine) {
    if (const Status room = check_room(lane.function, submission.space_backlog); !room)
      return std::unexpected(room.error());
  }
  if (entry_of(lane.function.id, submission.id) != nullptr) return call_id_in_use();
  auto body = submission.body.bytes();
  if (!body) return std::unexpected(unavailable(body.error()));
  if (submission.idempotency) {
    lane.keys[submission.idempotency->key] = {.fingerprint = submission.idempotency->fingerprint,
                                              .id = submission.id,
                                              .forgotten_at = submission.idempotency->forgotten_at};
  }
  Entry& entry = entries_[next_seq_];
  entry.seq = next_seq_++;
  entry.record.function = submission.function;
  entry.record.id = submission.id;
  entry.record.created_at = submission.created_at;
  entry.record.not_before = submission.not_before;
  entry.record.callback_url = std::move(submission.callback_url);
  entry.request = std::move(submission.request);
  entry.body = std::move(*body);
  entry.expires_at = submission.expires_at;
  if (submission.not_before > submission.created_at && submission.turn == Turn::kInLine) {
    entry.due_at = std::min(submission.not_before, submission.expires_at);
    entry.patience = submission.expires_at - entry.due_at;
  } else {
    entry.due_at = now();
    entry.ends = loop_.clock().now() + (submission.expires_at - submission.created_at);
  }
  entry.max_attempts = submission.max_attempts;
  entry.turn = submission.turn;
  return Accepted{.id = std::move(submission.id)};
}

Result<std::optional<Accepted>> MemoryQueue::repeated(Lane& lane, const Submission& submission) {
  if (!submission.idempotency) return std::nullopt;
  const auto known = lane.keys.find(submission.idempotency->key);
  if (known == lane.keys.end() || known->second.forgotten_at <= submission.created_at) return std::nullopt;
  if (known->second.fingerprint != submission.idempotency->fingerprint) return idempotency_key_reused();
  const Entry* first = entry_of(lane.function.id, known->second.id);
  if (first == nullptr) return answer_not_kept();
  return Accepted{.id = first->record.id, .state = first->record.state, .repeated = true};
}

Status MemoryQueue::check_room(const FunctionName& function, std::optional<std::size_t> space_backlog) const {
  const auto same_function = [&](const FunctionName& other) { return other.id == function.id; };
  const auto same_space = [&](const FunctionName& other) { return other.space == function.space; };
  if (waiting(same_function) >= limits_.function_backlog) return backlog_full("function");
  if (waiting(same_space) >= space_backlog.value_or(limits_.space_backlog)) return backlog_full("space");
  return {};
}

std::size_t MemoryQueue::waiting(const std::function<bool(const FunctionName&)>& of) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      entries_, [&](const auto& known) { return known.second.waits() && of(known.second.record.function); }));
}

// --- take ---

bool MemoryQueue::may_be_taken(const Entry& entry) const {
  const MonotonicTime at = loop_.clock().now();
  return entry.waits() && !entry.held && entry.ends && *entry.ends > at && entry.again_at <= at;
}

const MemoryQueue::Entry* MemoryQueue::next_of(const Lane& lane) const {
  const Entry* next = nullptr;
  for (const auto& [seq, entry] : entries_) {
    if (entry.record.function.id != lane.function.id || entry.turn != Turn::kInLine || !may_be_taken(entry))
      continue;
    if (next == nullptr || entry.due_at < next->due_at) next = &entry;
  }
  return next;
}

// Of the space that was served least recently, the function that was.
MemoryQueue::Lane* MemoryQueue::next_lane() {
  Lane* next = nullptr;
  const auto served = [this](const Lane& lane) {
    return std::tuple(spaces_[lane.function.space], lane.function.space, lane.served);
  };
  for (auto& [id, lane] : lanes_) {
    if (lane.parked || next_of(lane) == nullptr) continue;
    if (next == nullptr || served(lane) < served(*next)) next = &lane;
  }
  return next;
}

bool MemoryQueue::take(Turn turn, const MayRun& may_run, Duration lease, Done<Lease> done) {
  begin_waits();
  Entry* next = turn == Turn::kAtOnce ? take_at_once(may_run) : take_in_line(may_run);
  if (next == nullptr) return false;
  next->held = Held{.epoch = next_epoch_++, .until = loop_.clock().now() + lease, .taken_at = now()};
  const Receipt receipt{.seq = next->seq, .epoch = next->held->epoch};
  post([this, receipt, done = std::move(done)]() mutable { done(lease_of(receipt)); });
  return true;
}

MemoryQueue::Entry* MemoryQueue::take_in_line(const MayRun& may_run) {
  while (Lane* lane = next_lane()) {
    lane->parked = may_run(lane->function) == Gate::kNotNow;
    if (lane->parked) continue;
    spaces_[lane->function.space] = lane->served = turn_++;
    return &entries_.at(next_of(*lane)->seq);
  }
  return nullptr;
}

MemoryQueue::Entry* MemoryQueue::take_at_once(const MayRun& may_run) {
  for (auto& [seq, entry] : entries_) {
    if (entry.turn != Turn::kAtOnce || !may_be_taken(entry)) continue;
    Lane& lane = lanes_[entry.record.function.id];
    if (lane.held_up) continue;
    lane.held_up = may_run(lane.function) == Gate::kNotNow;
    if (!lane.held_up) return &entry;
  }
  return nullptr;
}

Result<Lease> MemoryQueue::lease_of(const Receipt& receipt) {
  Entry* held = leased(receipt);
  if (held == nullptr) return ended_meanwhile();
  net::Body body(bodies_);
  if (const Status kept = body.append(held->body); !kept) {
    held->held.reset();
    held->again_at = loop_.clock().now() + kUnreadablePause;
    return std::unexpected(unavailable(kept.error()));
  }
  return Lease{.receipt = receipt,
               .function = held->record.function,
               .id = held->record.id,
               .request = held->request,
               .body = std::move(body),
               .created_at = held->record.created_at,
               .expires_at = *held->ends,
               .attempt = static_cast<std::int64_t>(held->record.attempts.size()) + 1,
               .spent = held->spent,
               .max_attempts = held->max_attempts,
               .callback_url = held->record.callback_url,
               .turn = held->turn};
}

void MemoryQueue::wake(const std::string& function_id) {
  const auto lane = lanes_.find(function_id);
  if (lane != lanes_.end()) lane->second.parked = lane->second.held_up = false;
}

MemoryQueue::Entry* MemoryQueue::leased(const Receipt& receipt) {
  const auto known = entries_.find(receipt.seq);
  if (known == entries_.end() || !known->second.held) return nullptr;
  return known->second.held->epoch == receipt.epoch ? &known->second : nullptr;
}

Status MemoryQueue::renew(const Receipt& receipt, Duration lease) {
  Entry* entry = leased(receipt);
  if (entry == nullptr) return stale_receipt();
  entry->held->until = loop_.clock().now() + lease;
  return {};
}

// --- the end of an attempt ---

void MemoryQueue::settle(const Receipt& receipt, Settlement settlement, Done<void> done) {
  Entry* entry = leased(receipt);
  if (entry == nullptr || entry->held->settling) {
    return post([done = std::move(done)]() mutable { done(stale_receipt()); });
  }
  entry->held->settling = true;
  post([this, receipt, settlement = std::move(settlement), done = std::move(done)]() mutable {
    write(receipt, std::move(settlement), std::move(done));
  });
}

void MemoryQueue::write(const Receipt& receipt, Settlement settlement, Done<void> done) {
  Entry* held = leased(receipt);
  if (held == nullptr) return done(stale_receipt());
  if (end_attempt(*held, settlement)) return done({});
  loop_.after(kUnwritablePause, [this, alive = alive_, receipt, settlement = std::move(settlement),
                                 done = std::move(done)]() mutable {
    if (*alive) write(receipt, std::move(settlement), std::move(done));
  });
}

// Fails when the answer's body cannot be read.
Status MemoryQueue::end_attempt(Entry& entry, Settlement& settlement) {
  std::optional<Kept> kept;
  if (settlement.answer && !settlement.retry_at) {
    auto body = settlement.answer->body.bytes();
    if (!body) return std::unexpected(body.error());
    kept = Kept{.header_count = settlement.answer->header_count,
                .headers = std::move(settlement.answer->headers),
                .body = std::make_shared<const std::string>(std::move(*body))};
  }
  entry.held.reset();
  Record& record = entry.record;
  record.version = settlement.version;
  if (settlement.attempt) {
    if (!settlement.retry_at || settlement.cost == Cost::kSpent) ++entry.spent;
    if (!record.started_at) record.started_at = settlement.attempt->started_at;
    record.attempts.push_back(*settlement.attempt);
  } else {
    forget_key(entry);
  }
  if (settlement.retry_at) {
    STERNA_ASSERT(settlement.attempt);
    record.status_code = settlement.attempt->status_code;
    record.reason = settlement.reason;
    // Its wait goes on, and may end before its time has come.
    const Duration left = *entry.ends - loop_.clock().now();
    const Duration wait = std::min<Duration>(*settlement.retry_at - now(), left);
    entry.due_at = now() + std::chrono::duration_cast<std::chrono::milliseconds>(wait);
    entry.patience = left - wait;
    entry.ends.reset();
    entry.turn = Turn::kInLine;
    return {};
  }
  record.status_code = settlement.answer ? settlement.answer->status_code : 0;
  entry.answer = std::move(kept);
  end(entry, settlement.state, settlement.reason);
  return {};
}

void MemoryQueue::end(Entry& entry, State state, std::string_view reason) {
  Record& record = entry.record;
  record.state = state;
  record.reason = reason;
  record.ended_at = now();
  if (entry.answer && !record.callback_url.empty()) {
    record.delivery = Delivery::kPending;
    entry.delivery_due = loop_.clock().now();
    entry.delivery_since = loop_.clock().now();
    entry.delivery_tried = 0;
  }
  if (observer_ != nullptr)
    observer_->on_settled(record.function, record.id, record.state, record.reason, record.delivery);
  if (record.delivery == Delivery::kPending) delivery_wanted_();
}

void MemoryQueue::note_interruption(Entry& entry) {
  if (observer_ == nullptr) return;
  const auto run = observer_->interruption({.seq = entry.seq, .epoch = entry.held->epoch});
  if (!run) return;
  entry.record.version = run->version;
  if (!entry.record.started_at) entry.record.started_at = run->attempt.started_at;
  entry.record.attempts.push_back(run->attempt);
}

void MemoryQueue::revoke(Entry& entry, std::string_view reason) {
  const Receipt receipt{.seq = entry.seq, .epoch = entry.held->epoch};
  entry.held.reset();
  if (observer_ != nullptr) observer_->on_revoked(receipt, reason);
}

void MemoryQueue::give_back(const Receipt& receipt, Duration pause) {
  Entry* entry = leased(receipt);
  if (entry == nullptr || entry->held->settling) return;
  entry->held.reset();
  if (pause > Duration::zero()) {
    entry->again_at = loop_.clock().now() + pause;
    entry->turn = Turn::kInLine;
  }
  post([this] {
    if (observer_ != nullptr) observer_->on_ready();
  });
}

// --- what users ask for ---

MemoryQueue::Entry* MemoryQueue::entry_of(const std::string& function_id, const std::string& id) {
  const auto found = std::ranges::find_if(entries_, [&](const auto& known) {
    return known.second.record.function.id == function_id && known.second.record.id == id;
  });
  return found == entries_.end() ? nullptr : &found->second;
}

Result<MemoryQueue::Entry*> MemoryQueue::known(const std::string& function_id, const std::string& id) {
  Entry* entry = entry_of(function_id, id);
  if (entry == nullptr) return invocation_not_found();
  return entry;
}

void MemoryQueue::cancel(const std::string& function_id, const std::string& id, Done<void> done) {
  post([this, function_id, id, done = std::move(done)]() mutable {
    const auto entry = known(function_id, id);
    if (!entry) return done(std::unexpected(entry.error()));
    if (!(*entry)->waits()) return done(already_ended());
    Entry& ended = **entry;
    bool may_have_run = ended.may_have_run;
    if (ended.held) {
      note_interruption(ended);
      may_have_run |= ended.held->settling;
      revoke(ended, kCancelled);
    }
    if (ended.turn == Turn::kAtOnce && ended.record.attempts.empty() && !may_have_run) forget_key(ended);
    end(ended, State::kCancelled, kCancelled);
    done({});
  });
}

void MemoryQueue::redrive(const std::string& function_id, const std::string& id, const Redrive& terms,
                          Done<void> done) {
  post([this, function_id, id, terms, done = std::move(done)]() mutable {
    const auto found = known(function_id, id);
    if (!found) return done(std::unexpected(found.error()));
    Entry& entry = **found;
    Record& record = entry.record;
    if (record.state != State::kFailed && record.state != State::kExpired) return done(not_failed());
    if (lanes_[function_id].forgotten) return done(function_gone());
    if (Status room = check_room(record.function, terms.space_backlog); !room) return done(std::move(room));
    record.state = State::kQueued;
    record.reason.clear();
    record.status_code = 0;
    record.ended_at.reset();
    record.delivery = Delivery::kNone;
    entry.answer.reset();
    entry.superseded = entry.sending;
    entry.spent = 0;
    entry.turn = Turn::kInLine;
    entry.expires_at = terms.expires_at;
    entry.due_at = now();
    entry.ends = loop_.clock().now() + (terms.expires_at - now());
    entry.again_at = {};
    if (observer_ != nullptr) observer_->on_ready();
    done({});
  });
}

void MemoryQueue::forget(const std::string& function_id) {
  const auto lane = lanes_.find(function_id);
  if (lane == lanes_.end()) return;
  lane->second.forgotten = true;
  for (auto& [seq, entry] : entries_) {
    if (entry.record.function.id != function_id || !entry.waits()) continue;
    if (entry.held) revoke(entry, kFunctionDeleted);
    entry.record.state = State::kCancelled;
    entry.record.reason = kFunctionDeleted;
    entry.record.ended_at = now();
  }
}

}  // namespace sterna::queue
