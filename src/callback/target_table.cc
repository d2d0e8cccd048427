#include "callback/target_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace sterna::callback {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFirstGuess = milliseconds(20);  // of a transfer's time, before one has been seen
constexpr Duration kShortWait =
    milliseconds(250);  // a line that moves on this quickly is no burden on others
constexpr Duration kShortestPause = milliseconds(50);
constexpr Duration kClosestPosts = microseconds(100);
constexpr Duration kFurthestBooking = seconds(600);
constexpr std::string_view kShareTaken = "the target has its share of callbacks under way";
constexpr int kMeanWeight = 8;  // the newest transfer counts one in so many

}  // namespace

struct TargetState {
  std::string origin;
  std::deque<PendingPostPtr> line;
  std::size_t transfers = 0;
  bool listed = false;  // in ready_
  std::list<TargetState*>::iterator idle_place;

  unsigned failures = 0;      // since the last answer
  Duration rest{};            // how long it rests this time; zero: it does not
  MonotonicTime rests_until;  // then one probe may go
  bool probing = false;

  Duration mean_time = kFirstGuess;  // of its transfers
  MonotonicTime last_progress;       // a transfer ended, or the first one began
  MonotonicTime booked_until;        // posts that were refused come back one after the other

  std::size_t in_hand() const { return line.size() + transfers; }
  // How long a transfer takes now: a target that stalls is slow before the first transfer has failed.
  Duration transfer_time(MonotonicTime now) const {
    return transfers == 0 ? mean_time : std::max(mean_time, now - last_progress);
  }
};

TargetTable::TargetTable(const SenderLimits& limits) : limits_(limits) {
  STERNA_ASSERT(limits.max_targets >= limits.max_posts && limits.max_transfers_per_target > 0);
}

TargetTable::~TargetTable() = default;

TargetState& TargetTable::state_of(const std::string& origin) {
  const auto found = states_.find(origin);
  if (found != states_.end()) return *found->second;
  if (states_.size() >= limits_.max_targets) {
    STERNA_ASSERT(!idle_.empty());  // fewer posts in hand than targets
    const std::string longest_idle = idle_.front()->origin;
    idle_.pop_front();
    states_.erase(longest_idle);
  }
  TargetState& state = *states_.emplace(origin, std::make_unique<TargetState>()).first->second;
  state.origin = origin;
  state.idle_place = idle_.insert(idle_.end(), &state);
  return state;
}

std::optional<TargetTable::Refusal> TargetTable::add(PendingPostPtr post, MonotonicTime now) {
  if (in_hand_ >= limits_.max_posts) {
    return Refusal{std::move(post), kShortestPause, "too many callbacks are under way"};
  }
  TargetState& state = state_of(post->target.origin());
  if (state.rest > Duration::zero()) {
    if (now < state.rests_until || state.probing) return refuse_resting(state, std::move(post), now);
    state.probing = true;
    post->probe = true;
  } else if (state.in_hand() >= limits_.max_posts - in_hand_ && is_slow(state, now)) {
    return refuse(state, std::move(post), Duration::zero(), std::string(kShareTaken), now);
  }
  if (state.in_hand() == 0) idle_.erase(state.idle_place);
  ++in_hand_;
  post->state = &state;
  state.line.push_back(std::move(post));
  ++waiting_;
  mark_ready(state);
  return std::nullopt;
}

PendingPostPtr TargetTable::next(MonotonicTime now) {
  if (ready_.empty()) return nullptr;
  TargetState& state = *ready_.front();
  ready_.pop_front();
  state.listed = false;
  PendingPostPtr post = std::move(state.line.front());
  state.line.pop_front();
  --waiting_;
  post->began = now;
  if (state.transfers++ == 0) state.last_progress = now;
  mark_ready(state);
  return post;
}

std::vector<TargetTable::Refusal> TargetTable::end(PendingPost& post, Reach reach, MonotonicTime now) {
  TargetState& state = *post.state;
  post.state = nullptr;
  --state.transfers;
  state.last_progress = now;
  state.mean_time += (now - post.began - state.mean_time) / kMeanWeight;

  std::vector<Refusal> given_back;
  if (post.probe) state.probing = false;
  if (reach == Reach::kAnswered) {
    state.failures = 0;
    state.rest = Duration::zero();
  } else if (reach == Reach::kFailed && note_failure(state, post, now)) {
    while (!state.line.empty()) given_back.push_back(refuse_resting(state, take_last(state), now));
  }
  release(state);
  return given_back;
}

std::vector<TargetTable::Refusal> TargetTable::shed(MonotonicTime now) {
  std::vector<Refusal> given_back;
  for (const auto& [origin, state] : states_) {
    // The probe of a target that rests is alone in its line.
    while (state->line.size() > 1 && state->in_hand() > limits_.max_posts - in_hand_ &&
           is_slow(*state, now)) {
      given_back.push_back(
          refuse(*state, take_last(*state), Duration::zero(), std::string(kShareTaken), now));
    }
  }
  return given_back;
}

bool TargetTable::is_slow(const TargetState& state, MonotonicTime now) const {
  const auto rounds = 1 + state.in_hand() / limits_.max_transfers_per_target;
  return state.transfer_time(now) * static_cast<Duration::rep>(rounds) > kShortWait;
}

// Out of the line and out of hand.
PendingPostPtr TargetTable::take_last(TargetState& state) {
  PendingPostPtr post = std::move(state.line.back());
  state.line.pop_back();
  post->state = nullptr;
  if (post->probe) state.probing = false;
  if (state.line.empty() && std::exchange(state.listed, false)) std::erase(ready_, &state);
  --waiting_;
  --in_hand_;
  return post;
}

// Whether the target begins to rest.
bool TargetTable::note_failure(TargetState& state, const PendingPost& post, MonotonicTime now) {
  ++state.failures;
  if (state.rest > Duration::zero()) {
    if (!post.probe) return false;  // sent before the rest began: tells nothing new
    state.rest = std::min(state.rest * 2, limits_.longest_rest);
  } else {
    if (state.failures < limits_.failures_before_rest) return false;
    state.rest = limits_.first_rest;
  }
  state.rests_until = now + state.rest;
  state.booked_until = {};
  return true;
}

void TargetTable::release(TargetState& state) {
  --in_hand_;
  if (state.in_hand() > 0) {
    mark_ready(state);
  } else {
    state.idle_place = idle_.insert(idle_.end(), &state);
  }
}

void TargetTable::mark_ready(TargetState& state) {
  if (state.listed || state.line.empty() || state.transfers >= limits_.max_transfers_per_target) return;
  state.listed = true;
  ready_.push_back(&state);
}

TargetTable::Refusal TargetTable::refuse_resting(TargetState& state, PendingPostPtr post, MonotonicTime now) {
  const Duration left = state.probing ? state.rest : state.rests_until - now;
  Refusal refusal = refuse(state, std::move(post), left,
                           fmt::format("the target rests after {} failures in a row", state.failures), now);
  refusal.rests = true;
  return refusal;
}

// Books a time for the next try, as close after the one before as the target has taken posts so far: all at
// once they would only be refused again.
TargetTable::Refusal TargetTable::refuse(TargetState& state, PendingPostPtr post, Duration at_least,
                                         std::string detail, MonotonicTime now) {
  post->probe = false;
  const MonotonicTime earliest = now + std::max(at_least, kShortestPause);
  const MonotonicTime time = std::max(earliest, state.booked_until);
  const auto transfers = static_cast<Duration::rep>(limits_.max_transfers_per_target);
  state.booked_until =
      std::min(time + std::max(state.transfer_time(now) / transfers, kClosestPosts), now + kFurthestBooking);
  return {std::move(post), time - now, std::move(detail)};
}

}  // namespace sterna::callback
