#include "invoke/metrics.h"

#include "invoke/failures.h"

namespace sterna::invoke {
namespace {

const prometheus::Histogram::BucketBoundaries kSecondsBuckets{
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

prometheus::Labels labels_of(const std::string& space, const std::string& name) {
  return {{"space", space}, {"function", name}};
}

// Callers are told the same reason, but operators want to know which limit to raise.
std::string outcome_word(std::size_t outcome) {
  if (outcome == 0) return "answered";
  const auto failure = static_cast<pool::Failure>(outcome - 1);
  switch (failure) {
    case pool::Failure::kSpaceFull:
      return "space_quota";
    case pool::Failure::kServerFull:
      return "max_replicas_total";
    case pool::Failure::kLoading:
      return "still_loading";
    case pool::Failure::kEndsAtStart:
      return "ends_at_start";
    default:
      return std::string(info_of(failure).reason);
  }
}

}  // namespace

InvocationMetrics::InvocationMetrics(prometheus::Registry& registry)
    : invocations_(prometheus::BuildCounter()
                       .Name("sterna_invocations_total")
                       .Help("Invocations that ended, by outcome.")
                       .Register(registry)),
      seconds_(prometheus::BuildHistogram()
                   .Name("sterna_invocation_duration_seconds")
                   .Help("Time from a request's arrival to the end of its run.")
                   .Register(registry)),
      replicas_(prometheus::BuildGauge()
                    .Name("sterna_function_replicas")
                    .Help("Workers of a function.")
                    .Register(registry)),
      waiting_(prometheus::BuildGauge()
                   .Name("sterna_function_waiting")
                   .Help("Calls that wait for a worker.")
                   .Register(registry)),
      running_(prometheus::BuildGauge()
                   .Name("sterna_function_running")
                   .Help("Calls that are in workers.")
                   .Register(registry)) {}

std::unique_ptr<FunctionMetrics> InvocationMetrics::of(const std::string& space, const std::string& name) {
  auto made = std::make_unique<FunctionMetrics>();
  made->all_ = this;
  made->space_ = space;
  made->name_ = name;
  return made;
}

void InvocationMetrics::set_gauges(FunctionMetrics& function, std::size_t replicas, std::size_t waiting,
                                   std::size_t running) {
  if (function.replicas_ == nullptr) {
    const auto labels = labels_of(function.space_, function.name_);
    function.replicas_ = &replicas_.Add(labels);
    function.waiting_ = &waiting_.Add(labels);
    function.running_ = &running_.Add(labels);
  }
  function.replicas_->Set(static_cast<double>(replicas));
  function.waiting_->Set(static_cast<double>(waiting));
  function.running_->Set(static_cast<double>(running));
}

void InvocationMetrics::remove(FunctionMetrics& function) {
  for (prometheus::Counter*& counter : function.outcomes_) {
    if (counter != nullptr) invocations_.Remove(std::exchange(counter, nullptr));
  }
  if (function.seconds_ != nullptr) seconds_.Remove(std::exchange(function.seconds_, nullptr));
  if (function.replicas_ == nullptr) return;
  replicas_.Remove(std::exchange(function.replicas_, nullptr));
  waiting_.Remove(std::exchange(function.waiting_, nullptr));
  running_.Remove(std::exchange(function.running_, nullptr));
}

prometheus::Counter& FunctionMetrics::counter(std::size_t outcome) {
  if (outcomes_[outcome] == nullptr) {
    auto labels = labels_of(space_, name_);
    labels["outcome"] = outcome_word(outcome);
    outcomes_[outcome] = &all_->invocations_.Add(labels);
  }
  return *outcomes_[outcome];
}

void FunctionMetrics::answered(Duration total) {
  ++invocations_;
  counter(0).Increment();
  if (seconds_ == nullptr) seconds_ = &all_->seconds_.Add(labels_of(space_, name_), kSecondsBuckets);
  seconds_->Observe(seconds(total));
}

void FunctionMetrics::failed(pool::Failure failure, Duration total) {
  ++invocations_;
  counter(static_cast<std::size_t>(failure) + 1).Increment();
  if (failure == pool::Failure::kCancelled) return;
  if (seconds_ == nullptr) seconds_ = &all_->seconds_.Add(labels_of(space_, name_), kSecondsBuckets);
  seconds_->Observe(seconds(total));
}

}  // namespace sterna::invoke
