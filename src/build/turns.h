// Whose build is next: spaces take turns, so that one whose builds hang does not keep all others from
// building.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sterna::build {

// The builds that wait and how many of each space are under way. A pure decision: no clock, no I/O.
//
// A free place goes to the space with the fewest builds under way; of those, to the one that has waited
// longest since it came or since its last turn. The last free place goes only to a space that has none under
// way, unless there is but one place at all. In a space it goes by arrival: a function waits for one build at
// a time, so that its functions take turns as well.
class Turns {
 public:
  explicit Turns(std::size_t places) : places_(places) {}

  // `key` tells builds apart and waits once.
  void add(std::string key, std::string_view space);
  // It does not wait any more; nothing happens when it has had its turn.
  void drop(std::string_view key);
  // The key whose turn it is: it counts as under way until `end`. nullopt: none may begin now.
  std::optional<std::string> take();
  // A build of that space that `take` gave is over.
  void end(std::string_view space);
  void clear() { waiting_.clear(); }

  std::size_t waiting() const { return waiting_.size(); }
  std::size_t running() const { return running_; }

 private:
  struct Waiting {
    std::string key;
    std::string space;
    std::uint64_t since = 0;  // its arrival, or its space's last turn: a count of both
  };

  std::size_t running_of(std::string_view space) const;
  bool goes_before(const Waiting& one, const Waiting& other) const;

  const std::size_t places_;
  std::deque<Waiting> waiting_;  // by arrival
  std::map<std::string, std::size_t, std::less<>> running_by_space_;
  std::size_t running_ = 0;
  std::uint64_t events_ = 0;
};

}  // namespace sterna::build
