// Which lines the memory takes in that wait for the disk: nobody's flood may cost others theirs.
#pragma once

#include <cstdint>

namespace sterna::logs {

struct QueueLimits {
  std::uint64_t bytes = 16U << 20;  // shared by all
  // Each function always has so much, also where others have taken `bytes`. A worker takes a hundred times as
  // much memory.
  std::uint64_t bytes_for_each = 64U << 10;
};

// What waits already.
struct QueueUse {
  std::uint64_t of_function = 0;
  std::uint64_t of_space = 0;  // with the function's
  std::uint64_t of_all = 0;    // with the space's
};

// Who has used up what a line would need.
enum class Room : std::uint8_t { kFits, kFunctionIsOver, kSpaceIsOver, kServerIsOver };

// A space may hold as much as is still free, a function as much as its space has left of that. So one space
// gets at most half, two get a third each, and something is free for another one always.
Room room_for(std::uint64_t line_bytes, const QueueUse& use, const QueueLimits& limits);

}  // namespace sterna::logs
