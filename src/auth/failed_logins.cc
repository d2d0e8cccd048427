#include "auth/failed_logins.h"

#include "base/ip_address.h"

namespace sterna::auth {

FailedLogins::Key FailedLogins::key_of(std::string_view address) {
  const auto ip = parse_ip(address);
  return ip ? client_of(*ip).bytes : Key{};
}

Duration FailedLogins::wait(std::string_view address, MonotonicTime now) {
  if (by_key_.empty()) return Duration::zero();
  const auto found = by_key_.find(key_of(address));
  if (found == by_key_.end()) return Duration::zero();
  const Duration left = found->second->bucket.wait(now);
  // Who goes on is not forgotten, though what is too much does not count.
  if (left > Duration::zero()) entries_.splice(entries_.begin(), entries_, found->second);
  return left;
}

void FailedLogins::count(std::string_view address, MonotonicTime now) {
  constexpr double kSecondsInMinute = 60;
  if (per_minute_ <= 0) return;
  const Key key = key_of(address);
  auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    if (entries_.size() >= kMaxAddresses) {
      by_key_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front({.key = key, .bucket = TokenBucket(per_minute_ / kSecondsInMinute, per_minute_)});
    found = by_key_.emplace(key, entries_.begin()).first;
  }
  entries_.splice(entries_.begin(), entries_, found->second);
  found->second->bucket.take(1, now);
}

}  // namespace sterna::auth
