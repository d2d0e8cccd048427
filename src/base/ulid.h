// Sortable 128-bit ids (ULID): 48 bits of milliseconds, 80 random bits, 26 characters of Crockford's base 32.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace sterna {

inline constexpr std::size_t kUlidLength = 26;

using Traceparent = std::array<char, 55>;  // no terminator

// Makes ULIDs that grow strictly: within one millisecond the random part counts up. One thread each.
class UlidGenerator {
 public:
  // Seeds itself from the kernel's random source; `clock` must outlive it.
  explicit UlidGenerator(const Clock& clock);

  // Writes 26 characters at `out`; no terminator.
  void write(char* out);
  std::string next();

  // A traceparent of its own: version 00, random ids, sampled (W3C Trace Context).
  Traceparent traceparent();

 private:
  std::uint64_t random();

  const Clock& clock_;
  std::array<std::uint64_t, 2> state_{};
  std::uint64_t last_ms_ = 0;
  std::uint16_t high_ = 0;  // random bits 79..64
  std::uint64_t low_ = 0;   // random bits 63..0
};

// Whether `text` is a ULID in upper case, not beyond 48 bits of time.
bool is_ulid(std::string_view text);

}  // namespace sterna
