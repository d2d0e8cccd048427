#include "pool/policy.h"

#include <algorithm>

namespace sterna::pool {
namespace {

bool may_send_ahead(const WorkerView& worker, std::size_t concurrency, const RunTime& run) {
  if (worker.starting || worker.stalled || !run.known() || concurrency != 1) return false;
  return worker.in_flight < kMaxPrefetch &&
         run.average() * static_cast<Duration::rep>(worker.in_flight) < kPrefetchWait;
}

}  // namespace

std::size_t choose_worker(std::span<const WorkerView> workers, std::size_t concurrency, const RunTime& run,
                          bool small) {
  std::size_t best = kNobody;
  std::size_t idle = kNobody;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const WorkerView& worker = workers[i];
    if (!worker.accepts) continue;
    const bool free = worker.in_flight < concurrency;
    const bool busy_and_quick =
        worker.in_flight > 0 && (free || (small && may_send_ahead(worker, concurrency, run)));
    if (busy_and_quick && (best == kNobody || worker.in_flight < workers[best].in_flight)) best = i;
    if (!free || worker.in_flight > 0) continue;
    const bool better =
        idle == kNobody || (workers[idle].starting && !worker.starting) ||
        (workers[idle].starting == worker.starting && worker.idle_since > workers[idle].idle_since);
    if (better) idle = i;
  }
  return best != kNobody ? best : idle;
}

std::size_t workers_to_start(const Load& load, const RunTime& run) {
  if (load.waiting == 0 || load.workers >= load.max_workers) return 0;
  const std::size_t room = load.max_workers - load.workers;
  if (load.workers == 0) return 1;
  const std::size_t wanted = (load.waiting + load.concurrency - 1) / load.concurrency;
  if (wanted <= load.starting) return 0;
  const bool long_expected =
      run.known() && run.average() * static_cast<Duration::rep>(load.waiting) /
                             static_cast<Duration::rep>(load.workers * load.concurrency) >
                         2 * kPatience;
  if (!long_expected && load.oldest_wait < kPatience) return 0;
  return std::min(room, wanted - load.starting);
}

Duration restart_delay(unsigned failures) {
  if (failures == 0) return Duration::zero();
  const Duration delay = std::chrono::milliseconds(100) * (1U << std::min(failures - 1, 9U));
  return std::min<Duration>(delay, std::chrono::seconds(30));
}

}  // namespace sterna::pool
