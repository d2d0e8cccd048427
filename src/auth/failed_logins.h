// Slows down who guesses: counts bad tokens or secrets by the address that they come from.
#pragma once

#include <array>
#include <list>
#include <string_view>
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

  // How long the address has to wait before it may fail again; zero: it may.
  Duration wait(std::string_view address, MonotonicTime now);
  void failed(std::string_view address, MonotonicTime now);
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

  const double per_minute_;
  Entries entries_;  // who has failed last comes first
  std::unordered_map<Key, Entries::iterator, KeyHash> by_key_;
};

}  // namespace sterna::auth
