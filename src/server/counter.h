// Counters for /metrics of what is counted elsewhere.
#pragma once

#include <prometheus/counter.h>

namespace sterna::server {

// A counter can only be added to.
inline void bring_to(prometheus::Counter& counter, double value) {
  counter.Increment(value - counter.Value());
}

}  // namespace sterna::server
