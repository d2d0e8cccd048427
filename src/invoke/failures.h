// What callers see of a call that got no answer: one row for each way to fail (SPEC 2).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "pool/call.h"

namespace sterna::invoke {

// Whose fault it is, as told in X-Sterna-Fault.
enum class Fault : std::uint8_t { kPlatform, kFunction };
std::string_view to_string(Fault fault);

struct FailureInfo {
  unsigned status;
  std::string_view reason;
  Component component;
  Fault fault;
  std::string_view detail;       // for the caller; never what user code said
  unsigned retry_after_seconds;  // 0: no Retry-After
  bool was_begun = true;         // false: no code of the function's has run
};

// The body of the answer to such a call, `application/problem+json`.
std::string problem_document(const FailureInfo& failure, std::string_view call_id);

const FailureInfo& info_of(pool::Failure failure);

}  // namespace sterna::invoke
