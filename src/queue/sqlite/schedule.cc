#include "queue/sqlite/schedule.h"

#include <algorithm>

namespace sterna::queue::sqlite {

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
  if (lane.waiting > 0 || lane.arriving > 0 || lane.listed) return;  // the next time
  clear(lane);                                                       // of what was dropped
  lanes_.erase(found);
}

// --- waiting ---

void Schedule::count(Lane& lane, const Ticket& ticket) {
  ++lane.waiting;
  ++lane.space->waiting;
  waiting_kib_ += ticket.kib;
}

void Schedule::uncount(Lane& lane, const Ticket& ticket) {
  --lane.waiting;
  --lane.space->waiting;
  waiting_kib_ -= ticket.kib;
}

void Schedule::add_delayed(Lane& lane, const Ticket& ticket) {
  count(lane, ticket);
  delayed_.push({ticket, &lane});
}

void Schedule::add_ready(Lane& lane, const Ticket& ticket, Turn turn) {
  count(lane, ticket);
  if (turn == Turn::kAtOnce) {
    at_once_.emplace_back(&lane, ticket);
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

bool Schedule::promote(Millis now) {
  bool any = false;
  for (; !delayed_.empty() && delayed_.top().ticket.due <= now; delayed_.pop()) {
    const Delayed& due = delayed_.top();
    if (is_dropped(due.ticket)) continue;
    due.lane->ready.push_back(due.ticket);
    enter(*due.lane, due.ticket);
    any = true;
  }
  return any;
}

void Schedule::wake(Lane& lane) {
  lane.parked = lane.held_up = false;
  list(lane);
}

bool Schedule::is_dropped(const Ticket& ticket) {
  return !dropped_.empty() && dropped_.erase(ticket.seq) != 0;
}

void Schedule::drop(Lane& lane, const Ticket& ticket) {
  uncount(lane, ticket);
  const auto same = [&](const auto& waiting) { return waiting.second.seq == ticket.seq; };
  if (std::erase_if(at_once_, same) != 0) return;
  dropped_.insert(ticket.seq);
  trim(lane);
}

// The first one that is ready is never a dropped one.
void Schedule::trim(Lane& lane) {
  while (!lane.ready.empty() && is_dropped(lane.ready.front())) lane.ready.pop_front();
}

void Schedule::clear(Lane& lane) {
  for (const Ticket& ticket : lane.ready) {
    if (!is_dropped(ticket)) uncount(lane, ticket);
  }
  lane.ready.clear();
  std::erase_if(at_once_, [&](const auto& waiting) {
    if (waiting.first != &lane) return false;
    uncount(lane, waiting.second);
    return true;
  });
  std::vector<Delayed> kept;
  for (; !delayed_.empty(); delayed_.pop()) {
    const Delayed& delayed = delayed_.top();
    if (delayed.lane != &lane) {
      kept.push_back(delayed);
    } else if (!is_dropped(delayed.ticket)) {
      uncount(lane, delayed.ticket);
    }
  }
  delayed_ = decltype(delayed_)(std::greater<>(), std::move(kept));
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

const Leased* Schedule::take(Turn turn, const MayRun& may_run, MonotonicTime until, Millis now) {
  return turn == Turn::kAtOnce ? take_at_once(may_run, until, now) : take_in_line(may_run, until, now);
}

const Leased* Schedule::take_at_once(const MayRun& may_run, MonotonicTime until, Millis now) {
  for (auto next = at_once_.begin(); next != at_once_.end(); ++next) {
    const auto [lane, ticket] = *next;
    if (lane->held_up) continue;
    lane->held_up = may_run(lane->function) == Gate::kNotNow;
    if (lane->held_up) continue;
    at_once_.erase(next);
    return &hold(*lane, ticket, Turn::kAtOnce, until, now);
  }
  return nullptr;
}

const Leased* Schedule::take_in_line(const MayRun& may_run, MonotonicTime until, Millis now) {
  while (!round_.empty()) {
    Space& space = *round_.front();
    Lane& lane = *space.round.front();
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
    if (lane.ready.empty()) lane.first_expiry = Lane::kNever;
    unlist_front(space);
    list(lane);
    return &hold(lane, ticket, Turn::kInLine, until, now);
  }
  return nullptr;
}

const Leased& Schedule::hold(Lane& lane, const Ticket& ticket, Turn turn, MonotonicTime until, Millis now) {
  ++lane.leased;
  return leases_[ticket.seq] = {.ticket = ticket,
                                .lane = &lane,
                                .epoch = next_epoch_++,
                                .until = until,
                                .taken_at = now,
                                .turn = turn};
}

Leased* Schedule::leased(std::uint64_t seq) {
  const auto found = leases_.find(seq);
  return found == leases_.end() ? nullptr : &found->second;
}

Leased* Schedule::leased(const Receipt& receipt) {
  Leased* held = leased(receipt.seq);
  return held == nullptr || held->epoch != receipt.epoch ? nullptr : held;
}

void Schedule::end(std::uint64_t seq) {
  const Leased& held = leases_.at(seq);
  --held.lane->leased;
  uncount(*held.lane, held.ticket);
  leases_.erase(seq);
}

void Schedule::put_back(std::uint64_t seq, Millis due) {
  Leased held = leases_.at(seq);
  end(seq);
  if (due > 0) {
    held.ticket.due = due;
    return add_delayed(*held.lane, held.ticket);
  }
  count(*held.lane, held.ticket);
  if (held.turn == Turn::kAtOnce) {
    at_once_.emplace_front(held.lane, held.ticket);
  } else {
    held.lane->ready.push_front(held.ticket);
    enter(*held.lane, held.ticket);
  }
}

std::vector<Receipt> Schedule::overdue(MonotonicTime now) const {
  std::vector<Receipt> receipts;
  for (const auto& [seq, held] : leases_) {
    if (held.until <= now) receipts.push_back({.seq = seq, .epoch = held.epoch});
  }
  return receipts;
}

std::vector<std::pair<Lane*, Ticket>> Schedule::take_expired(Millis now) {
  std::vector<std::pair<Lane*, Ticket>> expired;
  for (const auto& [id, owned] : lanes_) {
    Lane& lane = *owned;
    if (lane.first_expiry > now) continue;
    lane.first_expiry = Lane::kNever;
    std::erase_if(lane.ready, [&](const Ticket& ticket) {
      if (ticket.expires_at > now) {
        lane.first_expiry = std::min(lane.first_expiry, ticket.expires_at);
        return false;
      }
      if (!is_dropped(ticket)) {
        uncount(lane, ticket);
        expired.emplace_back(&lane, ticket);
      }
      return true;
    });
    trim(lane);
  }
  std::erase_if(at_once_, [&](const auto& waiting) {
    if (waiting.second.expires_at > now) return false;
    uncount(*waiting.first, waiting.second);
    expired.push_back(waiting);
    return true;
  });
  return expired;
}

// --- looking ---

std::vector<std::uint64_t> Schedule::leased_of(const Lane& lane) const {
  std::vector<std::uint64_t> seqs;
  if (lane.leased == 0) return seqs;
  for (const auto& [seq, held] : leases_) {
    if (held.lane == &lane) seqs.push_back(seq);
  }
  return seqs;
}

std::optional<Millis> Schedule::oldest(const Lane& lane) const {
  std::optional<Millis> oldest;
  const auto see = [&](Millis due) { oldest = std::min(oldest.value_or(due), due); };
  if (!lane.ready.empty()) see(lane.ready.front().due);
  for (const auto& [of, ticket] : at_once_) {
    if (of == &lane) see(ticket.due);
  }
  return oldest;
}

}  // namespace sterna::queue::sqlite
