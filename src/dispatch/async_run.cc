#include "dispatch/async_run.h"

#include "api/problem.h"
#include "callback/retry_after.h"
#include "invoke/answer_headers.h"
#include "net/http_parser.h"

namespace sterna::dispatch {
namespace {

using Kind = AttemptEnd::Kind;

constexpr invoke::FailureInfo kTooLarge{502,
                                        kResultTooLarge,
                                        Component::kFunction,
                                        invoke::Fault::kFunction,
                                        "the function's output is larger than async.max_result_bytes",
                                        0};
constexpr invoke::FailureInfo kUnkept{
    503, "result_not_kept", Component::kQueue, invoke::Fault::kPlatform, "the output could not be kept", 0};

// It was not run to its end, which is none of the function's doing.
bool is_platform_fault(const invoke::FailureInfo& failure) {
  return !failure.was_begun || &failure == &invoke::info_of(pool::Failure::kStopped) ||
         &failure == &invoke::info_of(pool::Failure::kCancelled);
}

}  // namespace

void answer_problem(queue::Answer& answer, const invoke::FailureInfo& failure, std::string_view call_id) {
  answer.status_code = static_cast<int>(failure.status);
  answer.headers.clear();
  answer.header_count = 0;
  const auto add = [&](std::string_view name, std::string_view value) {
    wire::append_header(answer.headers, name, value);
    ++answer.header_count;
  };
  add("Content-Type", api::kProblemType);
  add("X-Sterna-Fault", invoke::to_string(failure.fault));
  if (failure.retry_after_seconds > 0) add("Retry-After", std::to_string(failure.retry_after_seconds));
  answer.body.clear();
  // A document of a few hundred bytes; without room for it the status and the reason still tell.
  static_cast<void>(answer.body.append(invoke::problem_document(failure, call_id)));
}

AsyncRun::AsyncRun(const Clock& clock, invoke::FunctionTable& table, net::BodyBudget& bodies,
                   std::uint64_t max_result_bytes, queue::Lease lease, RunOwner& owner)
    : clock_(clock),
      max_result_bytes_(max_result_bytes),
      lease_(std::move(lease)),
      owner_(owner),
      answer_{.headers = {}, .body = net::Body(bodies)},
      invocation_(table, *this) {}

void AsyncRun::start(invoke::FunctionEntry& entry, MonotonicTime now) {
  started_at_ = clock_.wall();
  const net::Body* body = lease_.body.size() == 0 ? nullptr : &lease_.body;
  invocation_.start(entry, lease_.id, std::move(lease_.request), body, now);
}

queue::Attempt AsyncRun::attempt(const AttemptEnd& end) const {
  const invoke::Timings timings = invocation_.timings();
  const bool answered = end.kind == Kind::kAnswered;
  return {.number = lease_.attempt,
          .started_at = started_at_,
          .ended_at = clock_.wall(),
          .duration = timings.total(),
          .outcome = answered ? "answered" : "failed",
          .reason = std::string(end.reason),
          .status_code = end.status_code,
          .instance = invocation_.instance(),
          .cold = timings.was_cold,
          .queued = timings.queued,
          .starting = timings.cold};
}

std::optional<queue::Interruption> AsyncRun::interruption() const {
  if (invocation_.instance().empty()) return std::nullopt;
  const WallTime now = clock_.wall();
  return queue::Interruption{.attempt = {.number = lease_.attempt,
                                         .started_at = started_at_,
                                         .ended_at = now,
                                         .duration = now - started_at_,
                                         .outcome = std::string(queue::kCancelled),
                                         .reason = std::string(queue::kCancelled),
                                         .status_code = 0,
                                         .instance = std::string(invocation_.instance()),
                                         .cold = invocation_.timings().was_cold},
                             .version = version()};
}

// --- the answer comes ---

void AsyncRun::on_answer(const wire::ResponseHead& head, std::string_view body, wire::More more) {
  answer_.status_code = static_cast<int>(head.status);
  take_headers(head);
  take_part(body, more);
}

void AsyncRun::on_part(std::string_view part, wire::More more) {
  take_part(part, more);
}

void AsyncRun::take_headers(const wire::ResponseHead& head) {
  invoke::for_each_answer_header(head, [this](std::string_view name, std::string_view value) {
    wire::append_header(answer_.headers, name, value);
    ++answer_.header_count;
    if (net::equal_ignoring_case(name, "retry-after"))
      retry_after_ = callback::parse_retry_after(value, clock_.wall());
  });
}

void AsyncRun::take_part(std::string_view part, wire::More more) {
  if (answer_.body.size() + part.size() > max_result_bytes_) {
    invocation_.cancel(kTooLarge.detail);
    answer_problem(answer_, kTooLarge, lease_.id);
    return end({.kind = Kind::kTooLarge,
                .status_code = static_cast<int>(kTooLarge.status),
                .reason = kResultTooLarge,
                .retry_after = {}});
  }
  if (!answer_.body.append(part)) {
    invocation_.cancel(kUnkept.detail);
    answer_problem(answer_, kUnkept, lease_.id);
    return end({.kind = Kind::kUnkept,
                .status_code = static_cast<int>(kUnkept.status),
                .reason = kUnkept.reason,
                .retry_after = {}});
  }
  if (more == wire::More::kYes) return invocation_.grant(static_cast<std::uint32_t>(part.size()));
  end({.kind = Kind::kAnswered,
       .status_code = answer_.status_code,
       .reason = {},
       .retry_after = retry_after_});
}

void AsyncRun::on_failure(const invoke::FailureInfo& failure) {
  answer_problem(answer_, failure, lease_.id);
  end({.kind = is_platform_fault(failure) ? Kind::kPlatformFault : Kind::kFailed,
       .status_code = static_cast<int>(failure.status),
       .reason = failure.reason,
       .retry_after = {},
       .was_begun = failure.was_begun});
}

void AsyncRun::end(const AttemptEnd& end) {
  owner_.on_run_ended(*this, end);  // it may be gone now
}

}  // namespace sterna::dispatch
