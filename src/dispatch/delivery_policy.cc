#include "dispatch/delivery_policy.h"

#include <algorithm>

#include "dispatch/settle_policy.h"

namespace sterna::dispatch {
namespace {

using namespace std::chrono_literals;
using callback::Verdict;

constexpr Duration kFirstPause = 1s;
constexpr int kPauseGrowth = 4;
constexpr Duration kLongestPause = 600s;
constexpr Duration kRestingPause = 1s;   // of a target that takes nothing now and does not say until when
constexpr Duration kRestingSpread = 1s;  // those that wait for one target come back one after another
constexpr Duration kLongestWish = 24h;   // a Retry-After that asks for more counts as this
constexpr Duration kLongestTry = 30s;    // a receiver that does not answer takes so long to show it
constexpr Duration kLastRest = 10min;    // and its target may rest for so long beside

// After try number `tried`: the first pause is a second, each next one four times as long, at most ten
// minutes. Half of it is certain, the other half a matter of chance ("equal jitter"): a receiver that comes
// back is not met by all callbacks at once, and the eight tries of the default take 13 to 26 minutes whatever
// chance says.
Duration longest_pause_after(std::int64_t tried) {
  Duration longest = kFirstPause;
  for (std::int64_t i = 1; i < tried && longest < kLongestPause; ++i) longest *= kPauseGrowth;
  return std::min(longest, kLongestPause);
}

Duration pause_after(std::int64_t tried, double random) {
  const Duration longest = longest_pause_after(tried);
  return std::chrono::duration_cast<Duration>(longest / 2 + longest / 2 * random);
}

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kDelivered:
      return "delivered";
    case Verdict::kRetry:
      return "retry";
    case Verdict::kUndeliverable:
      break;
  }
  return "undeliverable";
}

// Posts that are not sent cost no try: without an end of their own, those to a dead target would wait for
// ever.
queue::DeliveryEnd give_up(const callback::PostResult& result, const DeliveryContext& context) {
  const auto minutes = std::chrono::floor<std::chrono::minutes>(context.waited).count();
  return {
      .tried =
          queue::DeliveryAttempt{.at = context.now,
                                 .outcome = std::string(word(Verdict::kUndeliverable)),
                                 .status_code = {},
                                 .detail = "the target has not answered, and the callback has waited for " +
                                           std::to_string(minutes) + " minutes (" + result.detail + ")"},
      .again_at = {},
      .end = queue::Delivery::kUndeliverable};
}

}  // namespace

Duration longest_wait(std::int64_t max_attempts) {
  Duration longest = kLastRest + max_attempts * kLongestTry;
  for (std::int64_t tried = 1; tried < max_attempts; ++tried) longest += longest_pause_after(tried);
  return longest;
}

queue::DeliveryEnd decide(const callback::PostResult& result, const DeliveryContext& context) {
  const auto after = [&](Duration wait) {
    return context.now + std::chrono::ceil<std::chrono::milliseconds>(wait);
  };
  const Duration patience = longest_wait(context.max_attempts) - context.waited;
  if (result.target_rests && patience <= Duration::zero()) return give_up(result, context);
  if (!result.attempted) {
    Duration rest = result.retry_after.value_or(kRestingPause) +
                    backoff(1, kRestingSpread, kRestingSpread, context.random);
    if (result.target_rests) rest = std::min(rest, patience);
    return {.tried = {}, .again_at = after(rest), .end = queue::Delivery::kPending};
  }

  queue::DeliveryEnd end{.tried = queue::DeliveryAttempt{.at = context.now,
                                                         .outcome = std::string(word(result.verdict)),
                                                         .status_code = {},
                                                         .detail = result.detail},
                         .again_at = {}};
  if (result.status_code) end.tried->status_code = static_cast<int>(*result.status_code);
  if (result.verdict == Verdict::kDelivered) return end;
  end.end = queue::Delivery::kUndeliverable;
  if (result.verdict == Verdict::kUndeliverable || context.tried + 1 >= context.max_attempts) {
    end.tried->outcome = word(Verdict::kUndeliverable);
    return end;
  }
  end.again_at = after(std::max(pause_after(context.tried + 1, context.random),
                                std::min(result.retry_after.value_or(Duration::zero()), kLongestWish)));
  return end;
}

}  // namespace sterna::dispatch
