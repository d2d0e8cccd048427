#include "invoke/timings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace sterna::invoke {
namespace {

constexpr std::uint64_t power_of_ten(int exponent) {
  return exponent == 0 ? 1 : 10 * power_of_ten(exponent - 1);
}

// Appends `count` as a decimal number with `digits` digits after the point: 1234 with 3 is "1.234".
template <int digits>
void append_decimal(std::string& out, Duration::rep count) {
  constexpr std::uint64_t kOne = power_of_ten(digits);
  const auto number = static_cast<std::uint64_t>(std::max<Duration::rep>(count, 0));
  std::array<char, 32> text;
  char* at = std::to_chars(text.data(), text.data() + text.size(), number / kOne).ptr;
  *at = '.';
  std::uint64_t fraction = number % kOne;
  for (int i = digits; i > 0; --i, fraction /= 10) at[i] = static_cast<char>('0' + fraction % 10);
  out.append(text.data(), at + 1 + digits);
}

}  // namespace

void append_seconds(std::string& out, Duration duration) {
  append_decimal<6>(out, duration / std::chrono::microseconds(1));
}

void append_milliseconds(std::string& out, Duration duration) {
  append_decimal<3>(out, duration / std::chrono::microseconds(1));
}

}  // namespace sterna::invoke
