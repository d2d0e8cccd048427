#include "pool/log_meter.h"

#include <algorithm>

namespace sterna::pool {
namespace {

std::uint64_t count_lines(std::string_view text) {
  const auto ends = static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
  return ends + (text.empty() || text.ends_with('\n') ? 0 : 1);
}

}  // namespace

std::string_view LogMeter::take(std::string_view text, MonotonicTime now) {
  const std::chrono::duration<double> passed = now - filled_;
  room_ = std::min<double>(kLinesPerSecond, room_ + passed.count() * kLinesPerSecond);
  filled_ = now;
  const std::uint64_t lines = count_lines(text);
  const auto kept = std::min(lines, static_cast<std::uint64_t>(room_));
  room_ -= static_cast<double>(kept);
  if (kept == lines) return text;
  if (dropped_ == 0) dropped_since_ = now;
  dropped_ += lines - kept;
  std::size_t end = 0;
  for (std::uint64_t line = 0; line < kept; ++line) end = text.find('\n', end) + 1;
  return text.substr(0, end);
}

bool LogMeter::is_due(MonotonicTime now) const {
  return dropped_ > 0 && now - dropped_since_ >= std::chrono::seconds(1);
}

}  // namespace sterna::pool
