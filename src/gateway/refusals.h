// Counts requests that were refused because a limit is used up, for /metrics.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace sterna::gateway {

// Any thread.
class Refusals {
 public:
  explicit Refusals(prometheus::Registry& registry);

  // `space` is one that there is, or empty: none. `limit` is a word of docs/limits.md.
  void count(std::string_view space, std::string_view limit);

 private:
  prometheus::Family<prometheus::Counter>& family_;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, prometheus::Counter*> series_;  // by space and limit
};

}  // namespace sterna::gateway
