#include "server/build_metrics.h"

#include <chrono>

#include "server/counter.h"

namespace sterna::server {

BuildMetrics::BuildMetrics(prometheus::Registry& registry)
    : running_(prometheus::BuildGauge()
                   .Name("sterna_builds_running")
                   .Help("Builds that are under way.")
                   .Register(registry)
                   .Add({})),
      waiting_(prometheus::BuildGauge()
                   .Name("sterna_builds_waiting")
                   .Help("Builds that wait for others to end.")
                   .Register(registry)
                   .Add({})),
      versions_(prometheus::BuildCounter()
                    .Name("sterna_builds_total")
                    .Help("Versions that needed a build, by what became of them.")
                    .Register(registry)),
      built_(versions_.Add({{"outcome", "built"}})),
      reused_(versions_.Add({{"outcome", "reused"}})),
      failed_(versions_.Add({{"outcome", "failed"}})),
      seconds_(prometheus::BuildCounter()
                   .Name("sterna_build_seconds_total")
                   .Help("Time that builds took.")
                   .Register(registry)
                   .Add({})) {}

void BuildMetrics::update(const build::Builder& builder) {
  running_.Set(static_cast<double>(builder.running()));
  waiting_.Set(static_cast<double>(builder.waiting()));
  const build::BuildCounts& counts = builder.counts();
  bring_to(built_, static_cast<double>(counts.built));
  bring_to(reused_, static_cast<double>(counts.reused));
  bring_to(failed_, static_cast<double>(counts.failed));
  bring_to(seconds_, std::chrono::duration<double>(counts.spent).count());
}

}  // namespace sterna::server
