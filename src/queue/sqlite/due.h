// Callbacks that wait to be sent, by the time they are due.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

namespace sterna::queue::sqlite {

// Loop only. Times in milliseconds since 1970.
class DueList {
 public:
  // Adds it, or moves it to another time.
  void set(std::uint64_t seq, std::int64_t due) {
    entries_[seq] = due;
    heap_.push({due, seq});
  }
  void remove(std::uint64_t seq) { entries_.erase(seq); }

  // The one that is due for longest; it stays known, and is not answered again before the next `set`.
  std::optional<std::uint64_t> take(std::int64_t now) {
    while (!heap_.empty() && heap_.top().due <= now) {
      const Entry entry = heap_.top();
      heap_.pop();
      const auto known = entries_.find(entry.seq);
      if (known == entries_.end() || known->second != entry.due) continue;  // removed or moved
      known->second = kTaken;
      return entry.seq;
    }
    return std::nullopt;
  }
  bool any_due(std::int64_t now) const { return !heap_.empty() && heap_.top().due <= now; }
  std::optional<std::int64_t> next_due() const {
    if (heap_.empty()) return std::nullopt;
    return heap_.top().due;
  }
  bool taken(std::uint64_t seq) const {
    const auto known = entries_.find(seq);
    return known != entries_.end() && known->second == kTaken;
  }
  std::size_t size() const { return entries_.size(); }

 private:
  static constexpr std::int64_t kTaken = INT64_MAX;
  struct Entry {
    std::int64_t due;
    std::uint64_t seq;
    bool operator>(const Entry& other) const { return due != other.due ? due > other.due : seq > other.seq; }
  };
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> heap_;
  std::unordered_map<std::uint64_t, std::int64_t> entries_;
};

}  // namespace sterna::queue::sqlite
