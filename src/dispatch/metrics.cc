#include "dispatch/metrics.h"

namespace sterna::dispatch {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;

Family<Counter>& counters(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

Family<Gauge>& gauges(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

prometheus::Labels labels_of(const queue::FunctionName& function) {
  return {{"space", function.space}, {"function", function.name}};
}

}  // namespace

AsyncMetrics::AsyncMetrics(prometheus::Registry& registry, const queue::LeaseQueue& queue,
                           const queue::Outbox& outbox, const Clock& clock, Exists exists)
    : queue_(queue),
      outbox_(outbox),
      clock_(clock),
      accepted_(
          counters(registry, "sterna_async_accepted_total", "Asynchronous invocations that were accepted.")),
      settled_(
          counters(registry, "sterna_async_settled_total", "Asynchronous invocations that ended, by state.")),
      retries_(counters(registry, "sterna_async_retries_total", "Attempts that are followed by another.")),
      dead_letters_(counters(registry, "sterna_async_dead_letters_total",
                             "Asynchronous invocations that ended without success, by reason.")),
      deliveries_(
          counters(registry, "sterna_callback_deliveries_total", "Callbacks that were sent, by outcome.")),
      depth_(gauges(registry, "sterna_queue_depth", "Asynchronous invocations that have not ended.")),
      running_(gauges(registry, "sterna_queue_running", "Asynchronous invocations that are being run.")),
      oldest_(gauges(registry, "sterna_queue_oldest_seconds",
                     "For how long the invocation that is due for longest has waited to be run.")),
      callbacks_pending_(
          gauges(registry, "sterna_callbacks_pending", "Callbacks that have not been delivered.").Add({})),
      exists_(std::move(exists)) {}

AsyncMetrics::Series& AsyncMetrics::of(const queue::FunctionName& function) {
  Series*& known = by_id_[function.id];
  if (known != nullptr) return *known;
  auto& named = by_name_[function.space + "/" + function.name];
  if (!named) named = make_series(function);
  ++named->functions;
  return *(known = named.get());
}

std::unique_ptr<AsyncMetrics::Series> AsyncMetrics::make_series(const queue::FunctionName& function) {
  auto made = std::make_unique<Series>();
  made->name = function.space + "/" + function.name;
  made->depth = &depth_.Add(labels_of(function));
  made->running = &running_.Add(labels_of(function));
  made->oldest = &oldest_.Add(labels_of(function));
  return made;
}

void AsyncMetrics::count(const queue::FunctionName& function, Family<Counter>& family, const char* label,
                         const std::string& value) {
  if (!exists_(function.id)) return;
  auto& [owner, counter] = of(function).counters[family.GetName() + value];
  if (counter == nullptr) {
    prometheus::Labels labels = labels_of(function);
    if (!value.empty()) labels.emplace(label, value);
    owner = &family;
    counter = &family.Add(labels);
  }
  counter->Increment();
}

void AsyncMetrics::accepted(const queue::FunctionName& function) {
  count(function, accepted_, "", "");
}

void AsyncMetrics::settled(const queue::FunctionName& function, queue::State state,
                           const std::string& reason) {
  count(function, settled_, "state", std::string(queue::to_string(state)));
  if (state == queue::State::kFailed || state == queue::State::kExpired)
    count(function, dead_letters_, "reason", reason);
}

void AsyncMetrics::retried(const queue::FunctionName& function) {
  count(function, retries_, "", "");
}

void AsyncMetrics::delivery(const queue::FunctionName& function, const std::string& outcome) {
  count(function, deliveries_, "outcome", outcome);
}

void AsyncMetrics::remove(const std::string& function_id) {
  const auto known = by_id_.extract(function_id);
  if (known.empty() || --known.mapped()->functions > 0) return;
  const auto series = by_name_.extract(known.mapped()->name);
  for (const auto& [name, owned] : series.mapped()->counters) owned.first->Remove(owned.second);
  depth_.Remove(series.mapped()->depth);
  running_.Remove(series.mapped()->running);
  oldest_.Remove(series.mapped()->oldest);
}

void AsyncMetrics::update_gauges() {
  for (const auto& [id, series] : by_id_) {
    const queue::Depth depth = queue_.depth(id);
    series->depth->Set(static_cast<double>(depth.waiting));
    series->running->Set(static_cast<double>(depth.running));
    const Duration age = depth.oldest ? Duration(clock_.wall() - *depth.oldest) : Duration::zero();
    series->oldest->Set(std::chrono::duration<double>(age).count());
  }
  callbacks_pending_.Set(static_cast<double>(outbox_.pending_deliveries()));
}

}  // namespace sterna::dispatch
