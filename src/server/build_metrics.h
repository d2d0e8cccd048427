// Builds, for /metrics.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "build/builder.h"

namespace sterna::server {

// Loop only.
class BuildMetrics {
 public:
  explicit BuildMetrics(prometheus::Registry& registry);
  // Before /metrics is answered.
  void update(const build::Builder& builder);

 private:
  prometheus::Gauge& running_;
  prometheus::Gauge& waiting_;
  prometheus::Family<prometheus::Counter>& versions_;
  prometheus::Counter& built_;
  prometheus::Counter& reused_;
  prometheus::Counter& failed_;
  prometheus::Counter& seconds_;
};

}  // namespace sterna::server
