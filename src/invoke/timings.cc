#include "invoke/timings.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace sterna::invoke {
namespace {

// Appends `count` as a decimal number with `digits` digits after the point: 1234 with 3 is "1.234".
void append_decimal(std::string& out, Duration::rep count, int digits) {
  std::array<char, 24> text;
  char* const end = text.data() + text.size();
  char* at = end;
  auto left = static_cast<std::uint64_t>(std::max<Duration::rep>(count, 0));
  for (; digits > 0 || left > 0 || *at == '.'; left /= 10) {
    *--at = static_cast<char>('0' + left % 10);
    if (--digits == 0) *--at = '.';
  }
  out.append(at, end);
}

}  // namespace

void append_seconds(std::string& out, Duration duration) {
  append_decimal(out, duration / std::chrono::microseconds(1), 6);
}

void append_milliseconds(std::string& out, Duration duration) {
  append_decimal(out, duration / std::chrono::microseconds(1), 3);
}

}  // namespace sterna::invoke
