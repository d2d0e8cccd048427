#include "gateway/refusals.h"

namespace sterna::gateway {
namespace {

// Spaces come and go; those above it are counted together.
constexpr std::size_t kMaxSeries = 10'000;
constexpr const char* kOthers = "(others)";

}  // namespace

Refusals::Refusals(prometheus::Registry& registry)
    : family_(prometheus::BuildCounter()
                  .Name("sterna_refused_total")
                  .Help("Requests that were refused because a limit or a quota is used up.")
                  .Register(registry)) {}

void Refusals::count(std::string_view space, std::string_view limit) {
  const std::scoped_lock lock(mutex_);
  std::pair<std::string, std::string> key(space, limit);
  if (series_.size() >= kMaxSeries && !series_.contains(key)) key.first = kOthers;
  prometheus::Counter*& counter = series_[key];
  if (counter == nullptr) counter = &family_.Add({{"space", key.first}, {"limit", key.second}});
  counter->Increment();
}

}  // namespace sterna::gateway
