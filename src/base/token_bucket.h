// So much in a second on average, and some of it at once.
#pragma once

#include "base/clock.h"

namespace sterna {

class TokenBucket {
 public:
  TokenBucket() = default;  // no limit
  // Holds `size` and is full. `per_second` above zero, or 0: no limit.
  TokenBucket(double per_second, double size) : per_second_(per_second), size_(size), left_(size) {}

  bool is_limited() const { return per_second_ > 0; }
  // How long until there is one; zero: there is one now.
  Duration wait(MonotonicTime now);
  // Takes them, though there may be fewer: the debt is waited for.
  void take(double count, MonotonicTime now);
  // From `now` on: until then the old rate counts. No change, not even back and forth, gives what has been
  // taken, or makes a debt larger.
  void change(double per_second, double size, MonotonicTime now);
  bool is_full(MonotonicTime now);

 private:
  void fill(MonotonicTime now);

  double per_second_ = 0;
  double size_ = 0;
  double left_ = 0;
  MonotonicTime filled_;  // until then
};

}  // namespace sterna
