// Reads the Retry-After header (RFC 9110 10.2.3).
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"

namespace sterna::callback {

// How long to wait from `now` on: the value is a number of seconds or an HTTP-date in any of its three forms;
// a time that has passed is zero. None when it is neither.
std::optional<Duration> parse_retry_after(std::string_view value, WallTime now);

}  // namespace sterna::callback
