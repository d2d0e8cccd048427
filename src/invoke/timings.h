// How long the parts of a run took, and how answers tell it.
#pragma once

#include <string>

#include "base/clock.h"

namespace sterna::invoke {

struct Timings {
  Duration queued{};  // until a worker had room
  Duration cold{};    // until that worker was ready; zero for a warm one
  Duration run{};     // of the handler
  bool was_cold = false;

  Duration total() const { return queued + cold + run; }
};

// Appends seconds with six digits after the point, "0.001234"; what is negative counts as zero.
void append_seconds(std::string& out, Duration duration);
// Appends milliseconds with three digits after the point.
void append_milliseconds(std::string& out, Duration duration);

}  // namespace sterna::invoke
