// The lines that turn one text into another (Myers' greedy algorithm). Internal to bundle/.
#pragma once

#include <string_view>
#include <vector>

namespace sterna::bundle {

using Lines = std::vector<std::string_view>;  // with their line feeds; the last one may have none

struct Edit {
  char op = ' ';  // ' ' stays, '-' goes, '+' comes
  std::string_view line;
};

Lines split_lines(std::string_view text);

// The shortest list of edits; with more than kMaxEdits of them, what differs as a block that goes and one
// that comes.
inline constexpr int kMaxEdits = 1000;
std::vector<Edit> diff_lines(const Lines& from, const Lines& to);

}  // namespace sterna::bundle
