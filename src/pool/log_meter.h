// How many lines of what a function prints are logged: those beyond are counted, which costs little however
// fast they come.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace sterna::pool {

// Of one pool's workers together. One thread.
class LogMeter {
 public:
  // On average, and so many at once.
  static constexpr std::uint64_t kLinesPerSecond = 10'000;

  // The whole lines at the start of `text` that are logged; counts the others as dropped. A last line needs
  // no end.
  std::string_view take(std::string_view text, MonotonicTime now);

  // How many were dropped since they were last forgotten.
  std::uint64_t dropped() const { return dropped_; }
  // Whether the first of them was dropped a second ago, so that one notice a second tells of all.
  bool is_due(MonotonicTime now) const;
  void forget_dropped() { dropped_ = 0; }

 private:
  double room_ = kLinesPerSecond;
  MonotonicTime filled_{};  // until then
  std::uint64_t dropped_ = 0;
  MonotonicTime dropped_since_{};
};

}  // namespace sterna::pool
