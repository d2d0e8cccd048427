#include "invoke/timings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace sterna::invoke {
namespace {

// Appends `count` as a decimal number with `digits` digits after the point: 1234 with 3 is "1.234".
void append_decimal(std::string& out, Duration::rep count, std::size_t digits) {
  std::array<char, 24> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), std::max<Duration::rep>(count, 0)).ptr;
  std::string_view number(text.data(), static_cast<std::size_t>(end - text.data()));
  if (number.size() <= digits) {
    out += "0.";
    out.append(digits - number.size(), '0');
  } else {
    out += number.substr(0, number.size() - digits);
    out += '.';
    number.remove_prefix(number.size() - digits);
  }
  out += number;
}

}  // namespace

void append_seconds(std::string& out, Duration duration) {
  append_decimal(out, duration / std::chrono::microseconds(1), 6);
}

void append_milliseconds(std::string& out, Duration duration) {
  append_decimal(out, duration / std::chrono::microseconds(1), 3);
}

}  // namespace sterna::invoke
