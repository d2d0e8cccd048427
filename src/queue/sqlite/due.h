// Callbacks that wait to be sent, by the time they are due: of the monotonic clock, since the wall clock may
// jump.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace sterna::queue::sqlite {

// Loop only.
class DueList {
 public:
  struct Times {
    MonotonicTime due;
    MonotonicTime since;  // it waits
  };

  // Adds it, or begins anew.
  void add(std::uint64_t seq, Times times) {
    entries_[seq] = times;
    heap_.push({times.due, seq});
  }
  // To another time, if it is known.
  void move(std::uint64_t seq, MonotonicTime due) {
    const auto known = entries_.find(seq);
    if (known != entries_.end()) add(seq, {.due = due, .since = known->second.since});
  }
  // Its wait begins anew, if it is known.
  void renew(std::uint64_t seq, MonotonicTime since) {
    const auto known = entries_.find(seq);
    if (known != entries_.end()) known->second.since = since;
  }
  void remove(std::uint64_t seq) { entries_.erase(seq); }

  // The one that is due for longest; it stays known, and is not answered again before it is added or moved.
  std::optional<std::uint64_t> take(MonotonicTime now) {
    while (!heap_.empty() && heap_.top().due <= now) {
      const Entry entry = heap_.top();
      heap_.pop();
      const auto known = entries_.find(entry.seq);
      if (known == entries_.end() || known->second.due != entry.due) continue;  // removed or moved
      known->second.due = kTaken;
      return entry.seq;
    }
    return std::nullopt;
  }
  bool any_due(MonotonicTime now) const { return !heap_.empty() && heap_.top().due <= now; }
  bool taken(std::uint64_t seq) const {
    const auto known = entries_.find(seq);
    return known != entries_.end() && known->second.due == kTaken;
  }
  std::optional<MonotonicTime> since(std::uint64_t seq) const {
    const auto known = entries_.find(seq);
    return known == entries_.end() ? std::nullopt : std::optional(known->second.since);
  }
  std::size_t size() const { return entries_.size(); }

 private:
  static constexpr MonotonicTime kTaken = MonotonicTime::max();
  struct Entry {
    MonotonicTime due;
    std::uint64_t seq;
    bool operator>(const Entry& other) const { return due != other.due ? due > other.due : seq > other.seq; }
  };
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> heap_;
  std::unordered_map<std::uint64_t, Times> entries_;
};

}  // namespace sterna::queue::sqlite
