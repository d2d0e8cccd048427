// What becomes of an invocation after an attempt: the retry rules of SPEC 2 as a pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/function_spec.h"
#include "base/clock.h"
#include "queue/lease_queue.h"

namespace sterna::dispatch {

// How an attempt ended.
struct AttemptEnd {
  enum class Kind : std::uint8_t {
    kAnswered,       // the function answered with `status_code`
    kFailed,         // it raised, died, was killed, was over its time, or answered something unusable
    kTooLarge,       // it answered more than may be kept
    kPlatformFault,  // it was not run: no capacity, the function went away
    kUnkept,         // it was run to its end, and the platform could not keep what it answered
  };
  Kind kind = Kind::kAnswered;
  int status_code = 200;
  std::string_view reason;              // of kFailed, kPlatformFault and kUnkept
  std::optional<Duration> retry_after;  // what the function asked for
  bool was_begun = true;                // of kPlatformFault: code of the function's has run
};

// What is known beside it.
struct AttemptContext {
  std::int64_t spent = 0;         // attempts that counted before this one
  std::int64_t unspent = 0;       // attempts that did not
  std::int64_t max_attempts = 0;  // of the invocation; 0: as the policy says
  Duration left{};                // until no attempt may begin any more
  double random = 0;              // from [0, 1)
  queue::Turn turn = queue::Turn::kInLine;
};

struct Decision {
  // kRefuse: it is settled without an attempt, since who waits for it is told that it did not run.
  enum class Next : std::uint8_t { kSettle, kRetry, kGiveBack, kRefuse };
  Next next = Next::kSettle;
  queue::State state = queue::State::kSucceeded;  // of kSettle and kRefuse
  std::string reason;
  Duration wait{};                         // until the retry, or until it may be taken again
  queue::Cost cost = queue::Cost::kSpent;  // of kRetry
};

inline constexpr std::string_view kRetryableStatus = "retryable_status";
inline constexpr std::string_view kResultTooLarge = "result_too_large";

Decision decide(const AttemptEnd& end, const api::AsyncPolicy& policy, const AttemptContext& context);

// Exponential backoff with full jitter: between nothing and `first` doubled `tried` - 1 times, at most
// `longest`.
Duration backoff(std::int64_t tried, Duration first, Duration longest, double random);

}  // namespace sterna::dispatch
