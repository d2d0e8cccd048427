// Everything that is wrong with a request at once, field by field.
#pragma once

#include <expected>
#include <string>
#include <vector>

namespace sterna::api {

struct FieldError {
  std::string field;    // as in the JSON: "limits.timeout_seconds", "env.STERNA_X", "secrets[2]"
  std::string message;  // what is expected

  friend bool operator==(const FieldError&, const FieldError&) = default;
};

using FieldErrors = std::vector<FieldError>;

template <class T>
using Validated = std::expected<T, FieldErrors>;

inline constexpr std::size_t kMaxFieldErrors = 100;

}  // namespace sterna::api
