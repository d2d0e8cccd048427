// Limits as they are written on the command line: KEY=VALUE.
#pragma once

#include <string>
#include <vector>

#include "api/json.h"
#include "base/error.h"

namespace sterna::cli {

enum class LimitsOf : std::uint8_t { kApp, kSpace };

// "burst=10" -> {"rate_limit":{"burst":10}}; the value `default` is null, `none` is 0. Fails with invalid,
// reason `bad_usage`.
Result<api::Json> limit_fields(const std::vector<std::string>& words, LimitsOf owner);

}  // namespace sterna::cli
