// The lines that turn one text into another (Myers' greedy algorithm). Internal to bundle/.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace sterna::bundle {

using Lines = std::vector<std::string_view>;  // with their line feeds; the last one may have none

struct Edit {
  char op = ' ';  // ' ' stays, '-' goes, '+' comes
  std::string_view line;
};

Lines split_lines(std::string_view text);

// What a search may still do, and all that follow it: comparisons of short lines; long ones count as several.
struct Effort {
  std::int64_t left = 0;
  void spend(std::size_t steps) { left -= static_cast<std::int64_t>(steps); }
};

// The shortest list of edits; with more than kMaxEdits of them, or without effort left, what differs as a
// block that goes and one that comes.
inline constexpr int kMaxEdits = 1000;
std::vector<Edit> diff_lines(const Lines& from, const Lines& to, Effort& effort);

}  // namespace sterna::bundle
