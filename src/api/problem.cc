#include "api/problem.h"

#include <algorithm>
#include <array>
#include <utility>

#include "api/json.h"
#include "base/status_phrase.h"

namespace sterna::api {
namespace {

// Reasons whose status is not the one of their code.
constexpr std::array kStatusByReason = {
    std::pair<std::string_view, int>{"token_invalid", 401},
    std::pair<std::string_view, int>{"body_too_large", 413},
    std::pair<std::string_view, int>{"bundle_too_large", 413},
    std::pair<std::string_view, int>{"method_not_allowed", 405},
    std::pair<std::string_view, int>{"unsupported_media_type", 415},
    std::pair<std::string_view, int>{"invalid_fields", 422},
    std::pair<std::string_view, int>{"bad_bundle_path", 422},
    std::pair<std::string_view, int>{"bad_archive", 422},
    std::pair<std::string_view, int>{"handler_missing", 422},
    std::pair<std::string_view, int>{"disk_full", 507},
    std::pair<std::string_view, int>{"function_raised", 500},
    std::pair<std::string_view, int>{"idempotency_key_reused", 422},
};

}  // namespace

int http_status(Code code) {
  switch (code) {
    case Code::kInvalid:
      return 400;
    case Code::kNotFound:
      return 404;
    case Code::kConflict:
      return 409;
    case Code::kDenied:
      return 403;
    case Code::kExhausted:
      return 429;
    case Code::kTimeout:
      return 504;
    case Code::kUnavailable:
      return 503;
    case Code::kFunctionFailed:
      return 502;
    case Code::kIo:
    case Code::kInternal:
      return 500;
  }
  return 500;
}

int http_status(const Error& error) {
  const auto* own =
      std::ranges::find(kStatusByReason, error.reason, &std::pair<std::string_view, int>::first);
  return own == kStatusByReason.end() ? http_status(error.code) : own->second;
}

Problem to_problem(const Error& error) {
  return {http_status(error), error.component, error.reason, error.detail, {}, {}};
}

Problem to_problem(FieldErrors errors) {
  std::string detail =
      errors.empty() ? "a field is not valid" : errors.front().field + ": " + errors.front().message;
  if (errors.size() > 1) detail += " (and " + std::to_string(errors.size() - 1) + " more)";
  return {422, Component::kRegistry, "invalid_fields", std::move(detail), {}, std::move(errors)};
}

std::string to_json(const Problem& problem) {
  OrderedJson json = {{"type", "urn:sterna:problem:" + problem.reason},
                      {"title", status_phrase(static_cast<unsigned>(problem.status))},
                      {"status", problem.status},
                      {"detail", problem.detail},
                      {"reason", problem.reason},
                      {"component", to_string(problem.component)}};
  if (!problem.call_id.empty()) json["call_id"] = problem.call_id;
  for (const FieldError& error : problem.errors) {
    json["errors"].push_back({{"field", error.field}, {"message", error.message}});
  }
  return dump(json);
}

}  // namespace sterna::api
