#include "dispatch/reach.h"

namespace sterna::dispatch {
namespace {

constexpr std::size_t kEnough = 3;
// Longer than the longest pause between two deliveries of a callback: nobody may try any more.
constexpr Duration kForgotten = std::chrono::minutes(11);
// For so long an answer shows that the way is open: those that are down are tried again and again.
constexpr Duration kShown = std::chrono::minutes(1);

}  // namespace

void Reach::note(const std::string& origin, const callback::PostResult& result, MonotonicTime now) {
  if (!result.attempted) return;
  if (result.status_code) {
    answered_ = now;
    return unreached_.clear();
  }
  if (result.verdict != callback::Verdict::kRetry) return;  // was not to be reached at all
  if (answered_ && now - *answered_ < kShown) return;
  if (now - last_ >= kForgotten) unreached_.clear();
  last_ = now;
  if (unreached_.size() < kEnough) unreached_.insert(origin);
}

bool Reach::is_lost(MonotonicTime now) const {
  return unreached_.size() >= kEnough && now - last_ < kForgotten;
}

}  // namespace sterna::dispatch
