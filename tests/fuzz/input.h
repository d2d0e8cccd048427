// What the targets share: cutting libFuzzer's bytes into parts, and a check that stops with what it is about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

namespace sterna::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// The bytes up to the next line feed; takes both away from `rest`.
inline std::string_view take_line(std::string_view& rest) {
  const std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(line.size() + (line.size() < rest.size() ? 1 : 0));
  return line;
}

// The first byte as a number; 0 when there is none.
inline std::uint8_t take_byte(std::string_view& rest) {
  if (rest.empty()) return 0;
  const auto byte = static_cast<std::uint8_t>(rest.front());
  rest.remove_prefix(1);
  return byte;
}

// Sizes of parts, made of one number: the same input is always cut in the same way.
class Cutter {
 public:
  explicit Cutter(std::uint8_t seed) : state_(seed * 2654435761U + 1) {}
  // 1 to `most`.
  std::size_t next(std::size_t most) {
    state_ = state_ * 1664525U + 1013904223U;
    return 1 + (state_ >> 16U) % most;
  }

 private:
  std::uint32_t state_;
};

inline void must(bool holds, std::string_view what) {
  if (holds) return;
  std::cerr << "does not hold: " << what << '\n';
  std::abort();
}

}  // namespace sterna::fuzz
