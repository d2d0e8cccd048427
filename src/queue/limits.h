// How much the queue takes and keeps.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace sterna::queue {

struct QueueLimits {
  std::size_t unwritten = 100'000;           // writes that may wait for the disk; above, callers are refused
  std::size_t function_backlog = 2'000'000;  // invocations of one function that are not settled
  std::size_t space_backlog = 5'000'000;     // of all functions of a space
  Duration keep_settled = std::chrono::hours(24);
  // Of the database without what waits to be run: above, the oldest settled ones go early.
  std::uint64_t keep_bytes = 2ULL << 30U;
  std::uint64_t memory_bytes = 16U << 20U;  // of requests that are kept in memory until their run
};

}  // namespace sterna::queue
