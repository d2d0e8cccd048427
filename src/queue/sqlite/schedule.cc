#include "queue/sqlite/schedule.h"

#include <algorithm>

namespace sterna::queue::sqlite {

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

void Schedule::count(Lane& lane, std::ptrdiff_t by) {
  lane.waiting += static_cast<std::size_t>(by);
  lane.space->waiting += static_cast<std::size_t>(by);
}

void Schedule::add(Lane& lane, const Ticket& ticket, Millis due) {
  count(lane, 1);
  if (due > 0) {
    delayed_.push({due, ticket, &lane});
  } else {
    push_ready(lane, ticket);
  }
}

void Schedule::push_ready(Lane& lane, const Ticket& ticket) {
  lane.ready.push_back(ticket);
  enter(lane, ticket);
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
  for (; !delayed_.empty() && delayed_.top().due <= now; delayed_.pop()) {
    const Delayed& due = delayed_.top();
    if (is_dropped(due.ticket)) continue;
    push_ready(*due.lane, due.ticket);
    any = true;
  }
  return any;
}

std::optional<Millis> Schedule::next_due() const {
  if (delayed_.empty()) return std::nullopt;
  return delayed_.top().due;
}

void Schedule::wake(Lane& lane) {
  lane.parked = false;
  list(lane);
}

bool Schedule::is_dropped(const Ticket& ticket) {
  return !dropped_.empty() && dropped_.erase(ticket.seq) != 0;
}

void Schedule::drop(Lane& lane, std::uint64_t seq) {
  dropped_.insert(seq);
  count(lane, -1);
  trim(lane);
}

// The first one that is ready is never a dropped one.
void Schedule::trim(Lane& lane) {
  while (!lane.ready.empty() && is_dropped(lane.ready.front())) lane.ready.pop_front();
}

void Schedule::clear(Lane& lane) {
  for (const Ticket& ticket : lane.ready) {
    if (!is_dropped(ticket)) count(lane, -1);
  }
  lane.ready.clear();
  std::vector<Delayed> kept;
  for (; !delayed_.empty(); delayed_.pop()) {
    const Delayed& delayed = delayed_.top();
    if (delayed.lane != &lane) {
      kept.push_back(delayed);
    } else if (!is_dropped(delayed.ticket)) {
      count(lane, -1);
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

const Leased* Schedule::take(const MayRun& may_run, MonotonicTime until, Millis now) {
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
    ++lane.leased;
    Leased& leased = leases_[ticket.seq];
    leased = {.ticket = ticket, .lane = &lane, .epoch = next_epoch_++, .until = until, .taken_at = now};
    return &leased;
  }
  return nullptr;
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
  count(*held.lane, -1);
  leases_.erase(seq);
}

void Schedule::put_back(std::uint64_t seq, Millis due) {
  const Leased held = leases_.at(seq);
  end(seq);
  if (due > 0) return add(*held.lane, held.ticket, due);
  count(*held.lane, 1);
  held.lane->ready.push_front(held.ticket);
  enter(*held.lane, held.ticket);
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
        count(lane, -1);
        expired.emplace_back(&lane, ticket);
      }
      return true;
    });
    trim(lane);
  }
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
  const auto see = [&](Millis at) { oldest = std::min(oldest.value_or(at), at); };
  if (!lane.ready.empty()) see(lane.ready.front().created_at);
  if (lane.leased > 0) {
    for (const auto& [seq, held] : leases_) {
      if (held.lane == &lane) see(held.ticket.created_at);
    }
  }
  return oldest;
}

}  // namespace sterna::queue::sqlite
