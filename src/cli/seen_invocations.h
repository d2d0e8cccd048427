// What has been shown of each invocation, so that `sterna invocations tail` shows every change once.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/json.h"

namespace sterna::cli {

// Looks at invocations in rounds. Remembers the latest kMaxSeen of them. One thread.
class SeenInvocations {
 public:
  static constexpr std::size_t kMaxSeen = 5000;

  void begin_round() { ++round_; }

  // Notes how `invocation` stands. Answers whether it is new, or its state, attempts, or delivery changed.
  bool note(const api::Json& invocation);
  bool knows(const std::string& id) const { return seen_.contains(id); }
  void forget(const std::string& id) { seen_.erase(id); }

  // At most `limit` ids of invocations that may still change and were not noted in this round, the longest
  // unnoted first.
  std::vector<std::string> unnoted(std::size_t limit) const;

 private:
  struct Seen {
    std::string standing;
    bool may_change = true;
    std::uint64_t round = 0;
  };

  std::uint64_t round_ = 0;
  std::unordered_map<std::string, Seen> seen_;
  std::deque<std::string> order_;  // oldest first
};

}  // namespace sterna::cli
