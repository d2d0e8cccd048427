#include "audit/failure_limit.h"

#include <utility>

namespace sterna::audit {
namespace {

constexpr Duration kMinute = std::chrono::minutes(1);

}  // namespace

bool FailureLimit::is_over(const Minute& minute, MonotonicTime now) {
  return now - minute.began >= kMinute;
}

void FailureLimit::close(Minute& minute) {
  if (minute.left_out.left_out > 0) over_.push_back(std::move(minute.left_out));
}

FailureLimit::Minute& FailureLimit::minute_of(const Entry& failed) {
  const MonotonicTime now = clock_.now();
  const auto [found, is_new] =
      minutes_.try_emplace(failed.app, Minute{.began = now, .kept = 0, .left_out = {}});
  Minute& minute = found->second;
  if (!is_new && is_over(minute, now)) {
    close(minute);
    minute = {.began = now, .kept = 0, .left_out = {}};
  }
  return minute;
}

void FailureLimit::count(Minute& minute, const Entry& failed) {
  const std::int64_t before = minute.left_out.left_out;
  if (before == 0) minute.left_out = failed;
  minute.left_out.left_out = before + 1;
}

bool FailureLimit::admits(const Entry& failed) {
  const std::scoped_lock lock(mutex_);
  Minute& minute = minute_of(failed);
  if (minute.kept < per_minute_) {
    ++minute.kept;
    return true;
  }
  count(minute, failed);
  return false;
}

void FailureLimit::leave_out(const Entry& failed) {
  const std::scoped_lock lock(mutex_);
  count(minute_of(failed), failed);
}

std::vector<Entry> FailureLimit::take_over() {
  const std::scoped_lock lock(mutex_);
  const MonotonicTime now = clock_.now();
  for (auto next = minutes_.begin(); next != minutes_.end();) {
    if (!is_over(next->second, now)) {
      ++next;
      continue;
    }
    close(next->second);
    next = minutes_.erase(next);
  }
  return std::exchange(over_, {});
}

std::vector<Entry> FailureLimit::take_all() {
  const std::scoped_lock lock(mutex_);
  for (auto& [app, minute] : minutes_) close(minute);
  minutes_.clear();
  return std::exchange(over_, {});
}

}  // namespace sterna::audit
