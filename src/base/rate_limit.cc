#include "base/rate_limit.h"

#include <algorithm>
#include <limits>

namespace sterna {
namespace {

double rate_of(const RateLimit& limit) {
  return limit.requests_per_second.value_or(0);
}

double burst_of(const RateLimit& limit) {
  const auto burst = static_cast<double>(limit.burst.value_or(0));
  return burst > 0 ? burst : std::max(1.0, rate_of(limit));
}

double bytes_of(const RateLimit& limit) {
  return static_cast<double>(limit.bytes_per_second.value_or(0));
}

double or_infinite(double value) {
  return value > 0 ? value : std::numeric_limits<double>::infinity();
}

}  // namespace

RateLimit with_defaults(const RateLimit& own, const RateLimit& defaults) {
  RateLimit all = own;
  if (!all.requests_per_second) {
    all.requests_per_second = defaults.requests_per_second;
    if (!all.burst) all.burst = defaults.burst;
  }
  if (!all.bytes_per_second) all.bytes_per_second = defaults.bytes_per_second;
  return all;
}

bool contains(const RateLimit& a, const RateLimit& b) {
  const bool requests =
      rate_of(a) == 0 || (or_infinite(rate_of(b)) <= rate_of(a) && burst_of(b) <= burst_of(a));
  return requests && or_infinite(bytes_of(b)) <= or_infinite(bytes_of(a));
}

void Meter::change(const RateLimit& limit, MonotonicTime now) {
  limit_ = limit;
  requests_.change(rate_of(limit), burst_of(limit), now);
  bytes_.change(bytes_of(limit), std::max(1.0, bytes_of(limit)), now);
}

void set_limit(std::shared_ptr<Meter>& meter, const RateLimit& limit, MonotonicTime now) {
  if (rate_of(limit) == 0 && bytes_of(limit) == 0) {
    meter.reset();
  } else if (meter) {
    meter->change(limit, now);
  } else {
    meter = std::make_shared<Meter>(limit);
  }
}

}  // namespace sterna
