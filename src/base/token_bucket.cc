#include "base/token_bucket.h"

#include <algorithm>

namespace sterna {
namespace {

// What arithmetic may lose of a token that has been waited for.
constexpr double kNearlyOne = 1.0 - 1e-6;
constexpr std::chrono::duration<double> kLongest = std::chrono::hours(24 * 365);

}  // namespace

void TokenBucket::fill(MonotonicTime now) {
  const std::chrono::duration<double> passed = now - filled_;
  if (passed.count() <= 0) return;
  left_ = std::min(size_, left_ + passed.count() * per_second_);
  filled_ = now;
}

Duration TokenBucket::wait(MonotonicTime now) {
  if (!is_limited()) return Duration::zero();
  fill(now);
  if (left_ >= kNearlyOne) return Duration::zero();
  const std::chrono::duration<double> until((1 - left_) / per_second_);
  return std::chrono::ceil<Duration>(std::min(until, kLongest));
}

void TokenBucket::take(double count, MonotonicTime now) {
  if (!is_limited()) return;
  fill(now);
  left_ -= count;
}

bool TokenBucket::is_full(MonotonicTime now) {
  fill(now);
  return left_ >= size_;
}

void TokenBucket::change(double per_second, double size, MonotonicTime now) {
  fill(now);
  left_ = is_limited() ? std::min(left_, size) : size;
  per_second_ = per_second;
  size_ = size;
}

}  // namespace sterna
