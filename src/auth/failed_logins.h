// Slows down who guesses: counts bad tokens or secrets by the address that they come from.
#pragma once

#include <array>
#include <expected>
#include <list>
#include <string_view>
#include <type_traits>
#include <unordered_map>

#include "base/token_bucket.h"

namespace sterna::auth {

// One thread.
class FailedLogins {
 public:
  static constexpr std::size_t kMaxAddresses = 8192;

  // So many in a minute from one address; 0: any number. Above kMaxAddresses the one that has failed longest
  // ago is forgotten.
  explicit FailedLogins(double per_minute) : per_minute_(per_minute) {}

  // How long the address has to wait before it may fail again; zero: it may. Only a look, for refusing early:
  // many may pass it before the first of them has failed.
  Duration wait(std::string_view address, MonotonicTime now);

  // For secrets that may be guessed. What `attempt` answers, a pointer, of which null is a failure and
  // counts; where the address has to wait, nothing is tried, and this is how long.
  template <class Attempt>
  std::expected<std::invoke_result_t<Attempt>, Duration> guard(std::string_view address, MonotonicTime now,
                                                               const Attempt& attempt) {
    if (const Duration left = wait(address, now); left > Duration::zero()) return std::unexpected(left);
    auto found = attempt();
    if (!found) count(address, now);
    return found;
  }

  // For what has failed already. Zero: it has been counted; else the address has failed too often and has to
  // wait so long, and this one does not count.
  [[nodiscard]] Duration failed(std::string_view address, MonotonicTime now) {
    const Duration left = wait(address, now);
    if (left == Duration::zero()) count(address, now);
    return left;
  }

  std::size_t addresses() const { return by_key_.size(); }

 private:
  // Of client_of.
  using Key = std::array<std::uint8_t, 16>;
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return std::hash<std::string_view>()({reinterpret_cast<const char*>(key.data()), key.size()});
    }
  };
  struct Entry {
    Key key;
    TokenBucket bucket;
  };
  using Entries = std::list<Entry>;

  static Key key_of(std::string_view address);
  void count(std::string_view address, MonotonicTime now);  // one for which there is room

  const double per_minute_;
  Entries entries_;  // who has failed last, or was told to wait, comes first
  std::unordered_map<Key, Entries::iterator, KeyHash> by_key_;
};

}  // namespace sterna::auth
