#include "build/turns.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace sterna::build {

void Turns::add(std::string key, std::string_view space) {
  waiting_.push_back({.key = std::move(key), .space = std::string(space), .since = ++events_});
}

void Turns::drop(std::string_view key) {
  std::erase_if(waiting_, [&](const Waiting& each) { return each.key == key; });
}

std::size_t Turns::running_of(std::string_view space) const {
  const auto found = running_by_space_.find(space);
  return found == running_by_space_.end() ? 0 : found->second;
}

bool Turns::goes_before(const Waiting& one, const Waiting& other) const {
  return std::pair(running_of(one.space), one.since) < std::pair(running_of(other.space), other.since);
}

std::optional<std::string> Turns::take() {
  if (running_ >= places_) return std::nullopt;
  // The first of equal ones: of one space, all that came before its last turn are equal.
  const auto next = std::ranges::min_element(
      waiting_, [this](const Waiting& one, const Waiting& other) { return goes_before(one, other); });
  if (next == waiting_.end()) return std::nullopt;
  const bool is_last_place = places_ > 1 && running_ + 1 == places_;
  // `next` is of the space with the fewest: when it has some under way, so have all.
  if (is_last_place && running_of(next->space) > 0) return std::nullopt;
  const Waiting taken = std::move(*next);
  waiting_.erase(next);
  ++running_;
  ++running_by_space_[taken.space];
  const std::uint64_t turn = ++events_;
  for (Waiting& each : waiting_) {
    if (each.space == taken.space) each.since = turn;
  }
  return taken.key;
}

void Turns::end(std::string_view space) {
  const auto found = running_by_space_.find(space);
  STERNA_ASSERT(found != running_by_space_.end());
  --running_;
  if (--found->second == 0) running_by_space_.erase(found);
}

}  // namespace sterna::build
