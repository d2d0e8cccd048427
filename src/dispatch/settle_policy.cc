#include "dispatch/settle_policy.h"

#include <algorithm>
#include <chrono>

namespace sterna::dispatch {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstBackoff = 1s;
constexpr Duration kLongestBackoff = 60s;
constexpr Duration kPlatformPause = 500ms;

using Next = Decision::Next;

// Who calls as synchronous callers do is told at once; the rest waits until the platform can.
Decision decide_fault(const AttemptEnd& end, queue::Turn turn) {
  if (turn == queue::Turn::kInLine) return {.next = Next::kGiveBack, .reason = {}, .wait = kPlatformPause};
  if (end.was_begun) return {.state = queue::State::kFailed, .reason = std::string(end.reason), .wait = {}};
  return {
      .next = Next::kRefuse, .state = queue::State::kExpired, .reason = std::string(end.reason), .wait = {}};
}

// Its code has run, which is not to be done again and again while a disk is full. No attempt is spent.
Decision decide_unkept(const AttemptEnd& end, const AttemptContext& context) {
  const Duration wait = backoff(context.unspent + 1, kFirstBackoff, kLongestBackoff, 1);
  if (context.turn != queue::Turn::kInLine || wait >= context.left)
    return {.state = queue::State::kFailed, .reason = std::string(end.reason), .wait = {}};
  return {.next = Next::kRetry,
          .state = queue::State::kQueued,
          .reason = std::string(end.reason),
          .wait = wait,
          .cost = queue::Cost::kFree};
}

}  // namespace

Duration backoff(std::int64_t tried, Duration first, Duration longest, double random) {
  Duration span = first;
  for (std::int64_t i = 1; i < tried && span < longest; ++i) span *= 2;
  return std::chrono::duration_cast<Duration>(std::min(span, longest) * random);
}

Decision decide(const AttemptEnd& end, const api::AsyncPolicy& policy, const AttemptContext& context) {
  using Kind = AttemptEnd::Kind;
  if (end.kind == Kind::kPlatformFault) return decide_fault(end, context.turn);
  if (end.kind == Kind::kUnkept) return decide_unkept(end, context);
  if (end.kind == Kind::kTooLarge)
    return {.state = queue::State::kFailed, .reason = std::string(kResultTooLarge), .wait = {}};

  const bool answered = end.kind == Kind::kAnswered;
  if (answered && std::ranges::find(policy.retry_on, end.status_code) == policy.retry_on.end())
    return {.state = queue::State::kSucceeded, .reason = {}, .wait = {}};

  std::string reason(answered ? kRetryableStatus : end.reason);
  const std::int64_t allowed = context.max_attempts > 0 ? context.max_attempts : policy.max_attempts;
  const Duration wait = std::max(backoff(context.spent + 1, kFirstBackoff, kLongestBackoff, context.random),
                                 end.retry_after.value_or(Duration::zero()));
  const bool too_late = std::chrono::ceil<std::chrono::milliseconds>(wait) >= context.left;
  if (context.spent + 1 >= allowed || too_late)
    return {.state = queue::State::kFailed, .reason = std::move(reason), .wait = {}};
  return {.next = Next::kRetry, .state = queue::State::kQueued, .reason = std::move(reason), .wait = wait};
}

}  // namespace sterna::dispatch
