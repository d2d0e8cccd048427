#include "cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

namespace sterna::cli {
namespace {

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

// ECMA-48, select graphic rendition.
int code_of(Colour colour) {
  switch (colour) {
    case Colour::kBold:
      return 1;
    case Colour::kDim:
      return 2;
    case Colour::kRed:
      return 31;
    case Colour::kGreen:
      return 32;
    case Colour::kYellow:
      return 33;
    case Colour::kBlue:
      return 34;
  }
  return 0;
}

}  // namespace

Painter::Painter()
    : active_(isatty(STDOUT_FILENO) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb") {}

std::string Painter::operator()(Colour colour, std::string_view text) const {
  return active_ ? fmt::format("\x1b[{}m{}\x1b[0m", code_of(colour), text) : std::string(text);
}

}  // namespace sterna::cli
