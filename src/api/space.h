// What a user says about a space.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "api/quota.h"
#include "api/validation.h"
#include "base/clock.h"
#include "base/rate_limit.h"

namespace sterna::api {

inline constexpr std::string_view kDefaultSpace = "default";

struct SpaceSpec {
  std::string name;
  std::vector<std::string> callback_allow;  // CIDRs, addresses or host names that callbacks may go to
  RateLimit rate_limit{};                   // of the invocations of its functions
  Quota quota{};

  friend bool operator==(const SpaceSpec&, const SpaceSpec&) = default;
};

// Reads and checks a whole space; answers all field errors at once. Whether callbacks may really go to the
// targets is not checked: callback/allow_list.h knows what they may look like.
Validated<SpaceSpec> parse_space(const Json& json);

// The part that can be patched.
OrderedJson to_json(const SpaceSpec& spec);
OrderedJson to_json(const SpaceSpec& spec, WallTime created_at);

}  // namespace sterna::api
