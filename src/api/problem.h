// RFC 9457 problem documents, and the one table that maps failures to HTTP.
#pragma once

#include <string>
#include <string_view>

#include "api/validation.h"
#include "base/error.h"

namespace sterna::api {

inline constexpr std::string_view kProblemType = "application/problem+json";

struct Problem {
  int status = 500;
  Component component = Component::kGateway;
  std::string reason;
  std::string detail;
  std::string call_id;  // empty: none
  FieldErrors errors;   // with 422 only
};

// The status for an error: by its reason when that has one of its own (body_too_large is 413), else by its
// code.
int http_status(const Error& error);
int http_status(Code code);

Problem to_problem(const Error& error);
// 422 `invalid_fields`.
Problem to_problem(FieldErrors errors);

// {"type", "title", "status", "detail", "reason", "component"} and call_id, errors where there are some.
std::string to_json(const Problem& problem);

}  // namespace sterna::api
