#include "queue/sqlite/schedule.h"

#include <algorithm>

namespace sterna::queue::sqlite {
namespace {

constexpr std::size_t kFewDropped = 1000;

Moment moment_of(const Ticket& ticket) {
  return {ticket.due, ticket.seq};
}

bool is_later(const Ticket& one, const Ticket& other) {
  return moment_of(one) > moment_of(other);
}

}  // namespace

// The row without its blobs, its headers and its places in the indexes come to about a KiB.
std::uint64_t kib_of(std::uint64_t body_bytes) {
  return (body_bytes >> 10U) + 1;
}

// --- lanes ---

Lane& Schedule::lane(const FunctionName& function) {
  if (Lane* known = find_lane(function.id)) return *known;
  return restore_lane(function, next_key_);
}

Lane& Schedule::restore_lane(const FunctionName& function, std::int64_t key) {
  auto made = std::make_unique<Lane>();
  made->key = key;
  made->function = function;
  auto& space = spaces_[function.space];
  if (!space) space = std::make_unique<Space>();
  made->space = space.get();
  next_key_ = std::max(next_key_, key + 1);
  return *(lanes_[function.id] = std::move(made));
}

Lane* Schedule::find_lane(const std::string& function_id) {
  const auto found = lanes_.find(function_id);
  return found == lanes_.end() ? nullptr : found->second.get();
}

void Schedule::erase_lane(std::int64_t key) {
  const auto found =
      std::ranges::find_if(lanes_, [key](const auto& entry) { return entry.second->key == key; });
  if (found == lanes_.end()) return;
  Lane& lane = *found->second;
  if (!is_over(lane) || lane.listed) return;  // the next time
  clear(lane);                                // of what was dropped
  lanes_.erase(found);
}

bool Schedule::is_over(const Lane& lane) const {
  return lane.forgotten && lane.waiting == 0 && lane.arriving == 0;
}

void Schedule::expect(Lane& lane) {
  ++lane.arriving;
  ++lane.space->arriving;
}

void Schedule::arrived(Lane& lane) {
  STERNA_ASSERT(lane.arriving > 0);
  --lane.arriving;
  --lane.space->arriving;
}

// --- waiting ---

// False when it is there already, or its function is gone.
bool Schedule::count_in(Lane& lane, const Ticket& ticket) {
  if (lane.forgotten || !there_.insert(ticket.seq)) return false;
  ++lane.waiting;
  ++lane.space->waiting;
  waiting_kib_ += ticket.kib;
  return true;
}

// False when it is not there any more.
bool Schedule::count_out(Lane& lane, const Ticket& ticket) {
  if (!there_.erase(ticket.seq)) return false;
  --lane.waiting;
  --lane.space->waiting;
  waiting_kib_ -= ticket.kib;
  return true;
}

void Schedule::add_delayed(Lane& lane, const Ticket& ticket) {
  if (count_in(lane, ticket)) delay(lane, ticket);
}

void Schedule::add_ready(Lane& lane, const Ticket& ticket, Turn turn) {
  if (!count_in(lane, ticket)) return;
  if (turn == Turn::kAtOnce) {
    at_once_.push_back({&lane, ticket});
  } else {
    lane.ready.push_back(ticket);
    enter(lane, ticket);
  }
}

// It has been put into `ready`.
void Schedule::enter(Lane& lane, const Ticket& ticket) {
  lane.first_expiry = std::min(lane.first_expiry, ticket.expires_at);
  list(lane);
}

void Schedule::list(Lane& lane) {
  if (lane.parked || lane.listed || lane.ready.empty()) return;
  lane.listed = true;
  lane.space->round.push_back(&lane);
  if (std::exchange(lane.space->listed, true)) return;
  round_.push_back(lane.space);
}

void Schedule::delay(Lane& lane, const Ticket& ticket) {
  const bool is_first = lane.delayed.empty() || is_later(lane.delayed.front(), ticket);
  if (is_first) unlist_delayed(lane);
  lane.delayed.push_back(ticket);
  std::ranges::push_heap(lane.delayed, is_later);
  if (is_first) list_delayed(lane);
}

Ticket Schedule::take_first_delayed(Lane& lane) {
  unlist_delayed(lane);
  std::ranges::pop_heap(lane.delayed, is_later);
  const Ticket first = lane.delayed.back();
  lane.delayed.pop_back();
  list_delayed(lane);
  return first;
}

void Schedule::list_delayed(Lane& lane) {
  if (!lane.delayed.empty()) delayed_.emplace(moment_of(lane.delayed.front()), &lane);
}

void Schedule::unlist_delayed(const Lane& lane) {
  if (!lane.delayed.empty()) delayed_.erase(moment_of(lane.delayed.front()));
}

bool Schedule::promote(Now now) {
  bool any = false;
  while (!delayed_.empty() && delayed_.begin()->first.first <= now.wall) {
    Lane* const lane = delayed_.begin()->second;
    Ticket ticket = take_first_delayed(*lane);
    if (!is_there(ticket)) continue;
    // A wall clock that has jumped past it says nothing of how long it has been due.
    const Millis due_since = std::max(ticket.due - now.ahead(), promoted_at_);
    ticket.expires_at = due_since + (ticket.expires_at - ticket.due);
    lane->ready.push_back(ticket);
    enter(*lane, ticket);
    any = true;
  }
  promoted_at_ = now.age;
  const std::size_t were_paused = paused_.size();
  std::erase_if(paused_, [&](const auto& known) {
    if (known.second.until > now.age) return false;
    unpause(known.second);
    return true;
  });
  return any || paused_.size() < were_paused;
}

// It has not lost its place, which is near the head.
void Schedule::unpause(const Paused& paused) {
  Lane& lane = *paused.lane;
  const Ticket& ticket = paused.ticket;
  --lane.paused;
  if (!is_there(ticket)) return;
  const auto age = [](const Ticket& waiting) { return std::pair(waiting.due, waiting.seq); };
  lane.ready.insert(std::ranges::upper_bound(lane.ready, age(ticket), {}, age), ticket);
  enter(lane, ticket);
}

void Schedule::wake(Lane& lane) {
  lane.parked = lane.held_up = false;
  list(lane);
}

void Schedule::drop(Lane& lane, const Ticket& ticket) {
  if (!count_out(lane, ticket)) return;
  std::erase_if(at_once_, [&](const Waiting& waiting) { return waiting.ticket.seq == ticket.seq; });
  trim(lane);
  if (++dropped_ > kFewDropped + there_.size()) remove_dropped();
}

// What is delayed and cancelled again and again must not pile up until its time.
void Schedule::remove_dropped() {
  dropped_ = 0;
  const auto is_gone = [this](const Ticket& ticket) { return !is_there(ticket); };
  for (const auto& [id, lane] : lanes_) {
    std::erase_if(lane->ready, is_gone);
    unlist_delayed(*lane);
    std::erase_if(lane->delayed, is_gone);
    std::ranges::make_heap(lane->delayed, is_later);
    list_delayed(*lane);
  }
  std::erase_if(expired_, [this](const Waiting& waiting) { return !is_there(waiting.ticket); });
  std::erase_if(paused_, [this](const auto& known) {
    if (is_there(known.second.ticket)) return false;
    --known.second.lane->paused;
    return true;
  });
}

std::size_t Schedule::kept() const {
  std::size_t kept = at_once_.size() + expired_.size() + paused_.size() + leases_.size();
  for (const auto& [id, lane] : lanes_) kept += lane->ready.size() + lane->delayed.size();
  return kept;
}

// The first one that is ready is never a dropped one.
void Schedule::trim(Lane& lane) {
  while (!lane.ready.empty() && !is_there(lane.ready.front())) lane.ready.pop_front();
  if (lane.ready.empty()) lane.first_expiry = Lane::kNever;
}

void Schedule::forget(Lane& lane) {
  lane.forgotten = true;
  clear(lane);
}

void Schedule::clear(Lane& lane) {
  for (const Ticket& ticket : lane.ready) count_out(lane, ticket);
  lane.ready.clear();
  trim(lane);
  const auto take_out = [&](const Waiting& waiting) {
    if (waiting.lane != &lane) return false;
    count_out(lane, waiting.ticket);
    return true;
  };
  std::erase_if(at_once_, take_out);
  std::erase_if(expired_, take_out);
  std::erase_if(paused_, [&](const auto& known) {
    if (known.second.lane != &lane) return false;
    --lane.paused;
    count_out(lane, known.second.ticket);
    return true;
  });
  unlist_delayed(lane);
  for (const Ticket& ticket : lane.delayed) count_out(lane, ticket);
  lane.delayed.clear();
}

// --- leases ---

// Takes the space's first lane out of its round, and the space out of the round of spaces when it was the
// last.
void Schedule::unlist_front(Space& space) {
  space.round.front()->listed = false;
  space.round.pop_front();
  round_.pop_front();
  space.listed = !space.round.empty();
  if (space.listed) round_.push_back(&space);
}

const Leased* Schedule::take(Turn turn, const MayRun& may_run, MonotonicTime until, Now now) {
  return turn == Turn::kAtOnce ? take_at_once(may_run, until, now) : take_in_line(may_run, until, now);
}

const Leased* Schedule::take_at_once(const MayRun& may_run, MonotonicTime until, Now now) {
  for (auto next = at_once_.begin(); next != at_once_.end();) {
    const auto [lane, ticket] = *next;
    if (ticket.expires_at <= now.age) {
      expired_.push_back(*next);
      next = at_once_.erase(next);
      continue;
    }
    if (!lane->held_up) lane->held_up = may_run(lane->function) == Gate::kNotNow;
    if (lane->held_up) {
      ++next;
      continue;
    }
    at_once_.erase(next);
    return &hold(*lane, ticket, Turn::kAtOnce, until, now);
  }
  return nullptr;
}

const Leased* Schedule::take_in_line(const MayRun& may_run, MonotonicTime until, Now now) {
  while (!round_.empty()) {
    Space& space = *round_.front();
    Lane& lane = *space.round.front();
    set_aside_front(lane, now.age);
    if (lane.ready.empty()) {
      unlist_front(space);
      continue;
    }
    if (may_run(lane.function) == Gate::kNotNow) {
      lane.parked = true;
      unlist_front(space);
      continue;
    }
    const Ticket ticket = lane.ready.front();
    lane.ready.pop_front();
    trim(lane);
    unlist_front(space);
    list(lane);
    return &hold(lane, ticket, Turn::kInLine, until, now);
  }
  return nullptr;
}

const Leased& Schedule::hold(Lane& lane, const Ticket& ticket, Turn turn, MonotonicTime until, Now now) {
  lane.leased.insert(ticket.seq);
  return leases_[ticket.seq] = {.ticket = ticket,
                                .lane = &lane,
                                .epoch = next_epoch_++,
                                .until = until,
                                .taken_at = now.wall,
                                .turn = turn};
}

Leased* Schedule::leased(std::uint64_t seq) {
  const auto found = leases_.find(seq);
  return found == leases_.end() ? nullptr : &found->second;
}

const Leased* Schedule::leased(std::uint64_t seq) const {
  const auto found = leases_.find(seq);
  return found == leases_.end() ? nullptr : &found->second;
}

Leased* Schedule::leased(const Receipt& receipt) {
  Leased* held = leased(receipt.seq);
  return held == nullptr || held->epoch != receipt.epoch ? nullptr : held;
}

Leased Schedule::release(std::uint64_t seq) {
  const auto found = leases_.find(seq);
  STERNA_ASSERT(found != leases_.end());
  const Leased held = found->second;
  held.lane->leased.erase(seq);
  leases_.erase(found);
  return held;
}

void Schedule::end(std::uint64_t seq) {
  const Leased held = release(seq);
  count_out(*held.lane, held.ticket);
}

// Whether what was leased waits on.
bool Schedule::waits_on(const Leased& held) {
  if (held.lane->forgotten) count_out(*held.lane, held.ticket);
  return is_there(held.ticket);
}

void Schedule::postpone(std::uint64_t seq, Millis due, Millis ahead) {
  Leased held = release(seq);
  held.ticket.expires_at += ahead;
  held.ticket.due = std::min(due, held.ticket.expires_at);
  if (waits_on(held)) delay(*held.lane, held.ticket);
}

void Schedule::put_back(std::uint64_t seq, Millis until) {
  const Leased held = release(seq);
  Lane& lane = *held.lane;
  if (!waits_on(held)) return;
  if (until > 0) {
    ++lane.paused;
    paused_[seq] = {.ticket = held.ticket, .lane = &lane, .until = until};
  } else if (held.turn == Turn::kAtOnce) {
    at_once_.push_front({&lane, held.ticket});
  } else {
    lane.ready.push_front(held.ticket);
    enter(lane, held.ticket);
  }
}

std::vector<Receipt> Schedule::overdue(MonotonicTime now) const {
  std::vector<Receipt> receipts;
  for (const auto& [seq, held] : leases_) {
    if (held.until <= now) receipts.push_back({.seq = seq, .epoch = held.epoch});
  }
  return receipts;
}

// --- what may not run any more ---

void Schedule::set_aside_front(Lane& lane, Millis age) {
  while (!lane.ready.empty() && lane.ready.front().expires_at <= age) {
    expired_.push_back({&lane, lane.ready.front()});
    lane.ready.pop_front();
    trim(lane);
  }
}

void Schedule::set_aside_expired(Millis age) {
  for (const auto& [id, owned] : lanes_) {
    Lane& lane = *owned;
    if (lane.first_expiry > age) continue;
    lane.first_expiry = Lane::kNever;
    std::erase_if(lane.ready, [&](const Ticket& ticket) {
      if (!is_there(ticket)) return true;
      if (ticket.expires_at <= age) {
        expired_.push_back({&lane, ticket});
        return true;
      }
      lane.first_expiry = std::min(lane.first_expiry, ticket.expires_at);
      return false;
    });
  }
  std::erase_if(at_once_, [&](const Waiting& waiting) {
    if (waiting.ticket.expires_at > age) return false;
    expired_.push_back(waiting);
    return true;
  });
}

std::vector<Waiting> Schedule::take_expired(std::size_t count) {
  std::vector<Waiting> taken;
  for (; !expired_.empty() && taken.size() < count; expired_.pop_front()) {
    if (is_there(expired_.front().ticket)) taken.push_back(expired_.front());
  }
  return taken;
}

void Schedule::put_aside(Lane& lane, const Ticket& ticket) {
  if (lane.forgotten) {
    count_out(lane, ticket);
  } else if (is_there(ticket)) {
    expired_.push_back({&lane, ticket});
  }
}

// --- looking ---

std::optional<Millis> Schedule::oldest(const Lane& lane) const {
  std::optional<Millis> oldest;
  const auto see = [&](Millis due) { oldest = std::min(oldest.value_or(due), due); };
  if (!lane.ready.empty()) see(lane.ready.front().due);
  for (const auto& [of, ticket] : at_once_) {
    if (of == &lane) see(ticket.due);
  }
  if (lane.paused == 0) return oldest;
  for (const auto& [seq, paused] : paused_) {
    if (paused.lane == &lane && is_there(paused.ticket)) see(paused.ticket.due);
  }
  return oldest;
}

}  // namespace sterna::queue::sqlite
