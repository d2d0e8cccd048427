#include "dispatch/delivery_policy.h"

#include <algorithm>

#include "dispatch/settle_policy.h"

namespace sterna::dispatch {
namespace {

using namespace std::chrono_literals;
using callback::Verdict;

constexpr Duration kFirstBackoff = 1s;
constexpr Duration kLongestBackoff = 600s;
constexpr Duration kRestingPause = 1s;   // of a target that takes nothing now and does not say until when
constexpr Duration kRestingSpread = 1s;  // those that wait for one target come back one after another
constexpr Duration kLongestWish = 24h;   // a Retry-After that asks for more counts as this

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

}  // namespace

queue::DeliveryEnd decide(const callback::PostResult& result, const DeliveryContext& context) {
  const auto after = [&](Duration wait) {
    return context.now + std::chrono::ceil<std::chrono::milliseconds>(wait);
  };
  if (!result.attempted) {
    const Duration rest = result.retry_after.value_or(kRestingPause) +
                          backoff(1, kRestingSpread, kRestingSpread, context.random);
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
  end.again_at = after(std::max(backoff(context.tried + 1, kFirstBackoff, kLongestBackoff, context.random),
                                std::min(result.retry_after.value_or(Duration::zero()), kLongestWish)));
  return end;
}

}  // namespace sterna::dispatch
