// The headers that make an invocation asynchronous, or say how it is to be: pure text work.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "base/clock.h"
#include "net/http_parser.h"

namespace sterna::gateway {

// Prefer: respond-async[, wait=N] (RFC 7240).
struct AsyncPreference {
  bool respond_async = false;
  Duration wait{};  // how long the client wants to wait for the answer itself
  bool wait_given = false;
};
AsyncPreference parse_preference(const net::HttpRequest& request);

struct AsyncHeaders {
  std::string callback_url;            // X-Callback-Url; empty: none
  std::chrono::milliseconds delay{};   // X-Delay-Seconds
  std::optional<WallTime> not_before;  // X-Not-Before
  std::string idempotency_key;         // empty: none

  // When it may run if it was accepted at `now`.
  WallTime earliest(WallTime now) const { return std::max(not_before.value_or(now), now + delay); }
};

// Fails with invalid, reason `bad_callback_url` (given twice or empty), `bad_delay`, `bad_idempotency_key`.
Result<AsyncHeaders> parse_async_headers(const net::HttpRequest& request, WallTime now);

// The value of Idempotency-Key, or empty. Fails with invalid, reason `bad_idempotency_key`.
Result<std::string> parse_idempotency_key(const net::HttpRequest& request);

inline constexpr std::int64_t kMaxDelaySeconds = 30LL * 24 * 3600;
inline constexpr std::size_t kMaxIdempotencyKey = 255;

}  // namespace sterna::gateway
