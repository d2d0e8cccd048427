// Whether the machine's processors have time to spare, from /proc/stat (proc_stat(5)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace sterna::pool {

// Single thread. Where the file cannot be read nothing is known to be free.
class ProcessorWatch {
 public:
  // What it says is about the time between two looks: shorter is too coarse for the kernel's ticks of 10 ms,
  // longer is about another time.
  static constexpr Duration kShortest = std::chrono::milliseconds(50);
  static constexpr Duration kLongest = std::chrono::milliseconds(250);

  explicit ProcessorWatch(std::string path = "/proc/stat") : path_(std::move(path)) {}

  // To be called every few milliseconds while the answer matters. Reads the file when it is time to.
  void look(MonotonicTime now);
  // At least half a processor was idle between the last two looks.
  bool has_free() const { return has_free_; }

 private:
  struct Times {
    std::uint64_t idle = 0;  // of all processors, in ticks
    std::uint64_t all = 0;
    std::size_t processors = 0;
  };

  std::optional<Times> read() const;

  const std::string path_;
  MonotonicTime looked_{};
  std::optional<Times> last_;
  bool has_free_ = false;
};

}  // namespace sterna::pool
