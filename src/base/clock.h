// Time as a parameter, so that schedules and recovery are tested without sleeping.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime now() const = 0;
  virtual WallTime wall() const = 0;
};

// The machine's clocks. Any thread.
class SystemClock final : public Clock {
 public:
  MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall() const override {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  }
};

// Stands still until a test moves it. One thread.
class ManualClock final : public Clock {
 public:
  MonotonicTime now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  void advance(Duration by) {
    now_ += by;
    wall_ += std::chrono::duration_cast<std::chrono::milliseconds>(by);
  }
  // Somebody sets the wall clock.
  void jump(std::chrono::milliseconds by) { wall_ += by; }

 private:
  MonotonicTime now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::milliseconds(1'700'000'000'000)};
};

// RFC 3339 in UTC with milliseconds, e.g. "2026-01-02T03:04:05.678Z".
std::string format_rfc3339(WallTime time);

// Reads RFC 3339 with any offset and 0 to 9 digits of fraction (cut to milliseconds). Fails with invalid.
Result<WallTime> parse_rfc3339(std::string_view text);

}  // namespace sterna
