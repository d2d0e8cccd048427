#include "pool/processor_watch.h"

#include <fstream>

namespace sterna::pool {
namespace {

// user, nice, system, idle, iowait, irq, softirq, steal. What follows is part of the first two.
constexpr std::size_t kFields = 8;
constexpr std::size_t kIdle = 3;
constexpr std::size_t kIoWait = 4;

}  // namespace

void ProcessorWatch::look(MonotonicTime now) {
  if (last_ && now - looked_ < kShortest) return;
  const std::optional<Times> before = last_;
  const bool fresh = now - looked_ <= kLongest;
  last_ = read();
  looked_ = now;
  has_free_ = false;
  if (!before || !last_ || !fresh || last_->all <= before->all || last_->idle < before->idle) return;
  const std::uint64_t idle = last_->idle - before->idle;
  const std::uint64_t all = last_->all - before->all;
  has_free_ = 2 * idle * last_->processors >= all;
}

std::optional<ProcessorWatch::Times> ProcessorWatch::read() const {
  std::ifstream file(path_);
  std::string name;
  if (!(file >> name) || name != "cpu") return std::nullopt;
  Times times;
  for (std::size_t i = 0; i < kFields; ++i) {
    std::uint64_t ticks = 0;
    if (!(file >> ticks)) return std::nullopt;
    times.all += ticks;
    if (i == kIdle || i == kIoWait) times.idle += ticks;
  }
  std::string line;
  std::getline(file, line);  // the rest of the sum
  while (std::getline(file, line) && line.starts_with("cpu")) ++times.processors;
  return times;
}

}  // namespace sterna::pool
