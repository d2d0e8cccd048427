// Whether an app and a space have room for one more request (docs/limits.md), and what is answered when not.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/rate_limit.h"
#include "net/http_connection.h"

namespace sterna::gateway {

inline constexpr std::string_view kRateLimited = "rate_limited";

// Whole seconds that are enough, at least one.
unsigned retry_after_seconds(Duration wait);

// Whose limits a request falls under; null: none. Shared: the answer may take longer than app and space
// exist.
struct Meters {
  std::shared_ptr<Meter> app{};
  std::shared_ptr<Meter> space{};

  bool any() const { return app || space; }
  void take_bytes(std::uint64_t count, MonotonicTime now) const;
  // How long until more bytes may go; zero: now.
  Duration bytes_wait(MonotonicTime now) const;
};

// Of all limits that are used up the one that is waited for longest.
struct TooFast {
  std::string_view limit;  // for metrics: app_requests, app_bytes, space_requests, space_bytes
  std::string detail;
  Duration wait{};
  Component component = Component::kGateway;
};

// Counts one request; none of both when it may not go on.
std::optional<TooFast> count_request(const Meters& meters, MonotonicTime now);

// 429 `rate_limited`. A call id for invocations, which may be empty.
void answer_too_fast(net::HttpConnection& connection, const TooFast& reason, std::string_view call_id);

}  // namespace sterna::gateway
