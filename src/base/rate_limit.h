// How much an app or a space may ask for in a second, and the meter that knows how much it does.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/token_bucket.h"

namespace sterna {

// nullopt: what the server says; 0: no limit.
struct RateLimit {
  std::optional<double> requests_per_second;
  std::optional<std::int64_t> burst;             // requests at once; 0: those of a second, at least one
  std::optional<std::int64_t> bytes_per_second;  // of bodies, in and out; those of a second at once

  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

// `own`, and where it says nothing the defaults. A burst goes with its rate.
RateLimit with_defaults(const RateLimit& own, const RateLimit& defaults);

// Whether nothing that `b` lets through would be too much for `a`. Of effective ones.
bool contains(const RateLimit& a, const RateLimit& b);

// Of an effective limit. One thread.
class Meter {
 public:
  explicit Meter(const RateLimit& limit) { change(limit, {}); }

  // From `now` on. What has been used stays used.
  void change(const RateLimit& limit, MonotonicTime now);
  const RateLimit& limit() const { return limit_; }
  bool is_limited() const { return requests_.is_limited() || bytes_.is_limited(); }

  // How long until another request, or another byte, may come; zero: now. Takes nothing.
  Duration requests_wait(MonotonicTime now) { return requests_.wait(now); }
  Duration bytes_wait(MonotonicTime now) { return bytes_.wait(now); }
  void take_request(MonotonicTime now) { requests_.take(1, now); }
  // Those of what was let through count when they are known, so there may be a debt.
  void take_bytes(std::uint64_t count, MonotonicTime now) { bytes_.take(static_cast<double>(count), now); }

 private:
  RateLimit limit_;
  TokenBucket requests_;
  TokenBucket bytes_;
};

// Makes `meter` one of that effective limit from `now` on, and null where that limits nothing.
void set_limit(std::shared_ptr<Meter>& meter, const RateLimit& limit, MonotonicTime now);

}  // namespace sterna
