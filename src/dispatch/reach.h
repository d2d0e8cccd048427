// Whether callbacks reach anybody. That one receiver is down is its own affair; that several in a row cannot
// be reached, and nobody for a minute, is most likely ours: the name server, the way out.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "callback/sender.h"

namespace sterna::dispatch {

// One thread.
class Reach {
 public:
  // `origin` of the target: scheme, host and port.
  void note(const std::string& origin, const callback::PostResult& result, MonotonicTime now);
  bool is_lost(MonotonicTime now) const;

 private:
  std::set<std::string> unreached_;  // since somebody answered; at most kEnough
  MonotonicTime last_{};             // when somebody could not be reached
  std::optional<MonotonicTime> answered_;
};

}  // namespace sterna::dispatch
