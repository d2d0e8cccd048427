// What a user says about browsers: which pages of other origins may call a function (CORS of the Fetch
// standard).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "api/object_reader.h"

namespace sterna::api {

// In each list "*" stands alone and means all. Origins are written as browsers send them.
struct Cors {
  std::vector<std::string> allow_origins;  // at least one
  std::vector<std::string> allow_methods = {"GET", "POST", "PUT", "PATCH", "DELETE"};
  // Those that the platform reads, and the one that browsers ask about most.
  std::vector<std::string> allow_headers = {"Authorization",   "Content-Type", "Idempotency-Key",
                                            "Prefer",          "X-Call-Id",    "X-Callback-Url",
                                            "X-Delay-Seconds", "X-Not-Before"};
  // Those that the platform sets.
  std::vector<std::string> expose_headers = {"Location",       "Retry-After",        "Server-Timing",
                                             "X-Call-Id",      "X-Duration-Seconds", "X-Function-Status",
                                             "X-Sterna-Fault", "X-Function-Version"};
  bool allow_credentials = false;  // then no list is "*"
  std::int64_t max_age_seconds = 600;

  friend bool operator==(const Cors&, const Cors&) = default;
};

// Whether scripts of `origin` may read the function's answers.
bool allows(const Cors& cors, std::string_view origin);
bool allows_all(const std::vector<std::string>& list);  // it is "*"

// Reads the field `cors` of a function: null and absent are none.
void read_cors(ObjectReader& function, std::optional<Cors>& out, FieldErrors& errors);
OrderedJson to_json(const std::optional<Cors>& cors);

}  // namespace sterna::api
