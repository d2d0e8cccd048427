// What a user says about an app: a program or a person that asks for tokens.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/json.h"
#include "api/validation.h"
#include "base/clock.h"
#include "base/rate_limit.h"

namespace sterna::api {

struct AppSpec {
  std::string name;
  std::string description;
  std::vector<std::string> scopes;     // as in auth/scope.h; at least one
  std::vector<std::string> functions;  // sorted names, without repetition; empty: every function
  std::optional<WallTime> expires_at;
  bool disabled = false;
  RateLimit rate_limit{};  // of its requests

  friend bool operator==(const AppSpec&, const AppSpec&) = default;
};

// Reads and checks a whole app; answers all field errors at once. Whether there are such scopes is not
// checked: auth/scope.h knows.
Validated<AppSpec> parse_app(const Json& json);

// The part that can be patched.
OrderedJson to_json(const AppSpec& spec);

}  // namespace sterna::api
