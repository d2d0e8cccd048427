#include "pool/policy.h"

#include <algorithm>

namespace sterna::pool {
namespace {

bool is_core_left(std::size_t busy, const Costs& costs) {
  return busy + 1 < costs.cores;
}

// How long a call may wait behind others of its worker.
Duration bearable_wait(std::span<const WorkerView> workers, const Costs& costs) {
  const auto busy = static_cast<std::size_t>(
      std::ranges::count_if(workers, [](const WorkerView& worker) { return worker.in_flight > 0; }));
  return costs.concurrency == 1 || is_core_left(busy, costs) ? kPrefetchWait : patience(busy, costs);
}

bool may_send_ahead(const WorkerView& worker, const Costs& costs, Duration bearable) {
  const bool known = costs.concurrency == 1 ? costs.run.known() : costs.pace.known();
  if (worker.starting || worker.stalled || !known || worker.in_flight >= kMaxPrefetch) return false;
  const Duration each = costs.concurrency == 1 ? costs.run.average() : costs.pace.each();
  return each < kPrefetchWait && each * static_cast<Duration::rep>(worker.in_flight) < bearable;
}

// A ready worker before one that starts, then the one with the fewest runs, then the one used last: its
// memory is warm, and the others can be stopped.
bool is_freer(const WorkerView& a, const WorkerView& b) {
  if (a.starting != b.starting) return b.starting;
  if (a.in_flight != b.in_flight) return a.in_flight < b.in_flight;
  return a.idle_since > b.idle_since;
}

}  // namespace

Duration patience(std::size_t busy, const Costs& costs) {
  const bool helps = costs.concurrency == 1 || is_core_left(busy, costs) || costs.has_free_core;
  return helps ? kPatience : kCrowdedPatience;
}

std::size_t choose_worker(std::span<const WorkerView> workers, const Costs& costs, bool small) {
  const Duration bearable = bearable_wait(workers, costs);
  std::size_t quick = kNobody;  // busy, and soon through with what it has
  std::size_t free = kNobody;   // has room for a run beside those it has
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const WorkerView& worker = workers[i];
    if (!worker.accepts) continue;
    if (small && worker.in_flight > 0 && may_send_ahead(worker, costs, bearable) &&
        (quick == kNobody || worker.in_flight > workers[quick].in_flight)) {
      quick = i;
    }
    if (worker.in_flight < costs.concurrency && (free == kNobody || is_freer(worker, workers[free])))
      free = i;
  }
  return quick != kNobody ? quick : free;
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
                         2 * load.patience;
  if (!long_expected && load.oldest_wait < load.patience) return 0;
  return std::min(room, wanted - load.starting);
}

Duration restart_delay(unsigned failures) {
  if (failures == 0) return Duration::zero();
  const Duration delay = std::chrono::milliseconds(100) * (1U << std::min(failures - 1, 9U));
  return std::min<Duration>(delay, std::chrono::seconds(30));
}

}  // namespace sterna::pool
