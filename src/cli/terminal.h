// Colours for a terminal that shows them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sterna::cli {

enum class Colour : std::uint8_t { kDim, kRed, kGreen, kYellow, kBlue, kBold };

// Paints for standard output: when that is a terminal, TERM is not "dumb", and NO_COLOR is not set.
class Painter {
 public:
  Painter();
  explicit Painter(bool active) : active_(active) {}
  std::string operator()(Colour colour, std::string_view text) const;

 private:
  bool active_;
};

}  // namespace sterna::cli
