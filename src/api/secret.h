// The value of a secret as users send it.
#pragma once

#include <string>
#include <string_view>

#include "api/json.h"
#include "api/validation.h"

namespace sterna::api {

inline constexpr std::size_t kMaxSecretBytes = 64U << 10;

// From {"value": "text"} or, for bytes that are no text, {"value_base64": "..."}. What is wrong is told by
// field; the value itself never stands in a message.
Validated<std::string> parse_secret(const Json& json);

// Why these bytes cannot be a value, for the user; empty when they can.
std::string secret_value_problem(std::string_view value);

// Whether the value can be an environment variable: UTF-8 without NUL.
bool is_variable_text(std::string_view value);

}  // namespace sterna::api
