#include "gateway/problem_answer.h"

#include <string>

#include "api/problem.h"

namespace sterna::gateway {
namespace {

constexpr std::string_view kRetrySeconds = "1";  // for what may be over in a moment

std::string problem_json(unsigned status, Component component, std::string_view reason,
                         std::string_view detail, std::string_view call_id) {
  return api::to_json(api::Problem{.status = static_cast<int>(status),
                                   .component = component,
                                   .reason = std::string(reason),
                                   .detail = std::string(detail),
                                   .call_id = std::string(call_id),
                                   .errors = {}});
}

}  // namespace

void answer_problem(net::HttpConnection& connection, unsigned status, const Error& error) {
  connection.begin(status);
  connection.header("Content-Type", api::kProblemType);
  connection.send(problem_json(status, error.component, error.reason, error.detail, {}));
}

std::string begin_invocation_error(net::HttpConnection& connection, unsigned status, const Error& error,
                                   std::string_view call_id) {
  connection.begin(status);
  connection.header("Content-Type", api::kProblemType);
  connection.header("X-Sterna-Fault", "platform");
  if (!call_id.empty()) connection.header("X-Call-Id", call_id);
  if (error.code == Code::kExhausted || error.code == Code::kUnavailable)
    connection.header("Retry-After", kRetrySeconds);
  return problem_json(status, error.component, error.reason, error.detail, call_id);
}

void answer_invocation_error(net::HttpConnection& connection, unsigned status, const Error& error,
                             std::string_view call_id) {
  connection.send(begin_invocation_error(connection, status, error, call_id));
}

std::string begin_failure(net::HttpConnection& connection, const invoke::FailureInfo& failure,
                          std::string_view call_id) {
  connection.begin(failure.status);
  connection.header("Content-Type", api::kProblemType);
  connection.header("X-Sterna-Fault", invoke::to_string(failure.fault));
  connection.header("X-Call-Id", call_id);
  if (failure.retry_after_seconds > 0)
    connection.header("Retry-After", std::to_string(failure.retry_after_seconds));
  return invoke::problem_document(failure, call_id);
}

void answer_failure(net::HttpConnection& connection, const invoke::FailureInfo& failure,
                    std::string_view call_id) {
  connection.send(begin_failure(connection, failure, call_id));
}

}  // namespace sterna::gateway
