// The counters of invocations, for /metrics (Prometheus).
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <memory>
#include <string>

#include "base/clock.h"
#include "pool/call.h"

namespace sterna::invoke {

inline constexpr std::size_t kOutcomes = 1 + pool::kFailures;  // answered, and each pool::Failure

class InvocationMetrics;

// Of one function. Loop only.
class FunctionMetrics {
 public:
  void answered(Duration total);
  void failed(pool::Failure failure, Duration total);
  std::uint64_t invocations() const { return invocations_; }
  bool has_gauges() const { return replicas_ != nullptr; }

 private:
  friend class InvocationMetrics;
  prometheus::Counter& counter(std::size_t outcome);

  InvocationMetrics* all_ = nullptr;
  std::string space_;
  std::string name_;
  std::uint64_t invocations_ = 0;
  std::array<prometheus::Counter*, kOutcomes> outcomes_{};
  prometheus::Histogram* seconds_ = nullptr;
  prometheus::Gauge* replicas_ = nullptr;
  prometheus::Gauge* waiting_ = nullptr;
  prometheus::Gauge* running_ = nullptr;
};

class InvocationMetrics {
 public:
  explicit InvocationMetrics(prometheus::Registry& registry);

  // Series are made when the first call ends, so that a thousand idle functions cost nothing.
  std::unique_ptr<FunctionMetrics> of(const std::string& space, const std::string& name);
  void set_gauges(FunctionMetrics& function, std::size_t replicas, std::size_t waiting, std::size_t running);
  // Takes the function's series out.
  void remove(FunctionMetrics& function);

 private:
  friend class FunctionMetrics;
  prometheus::Family<prometheus::Counter>& invocations_;
  prometheus::Family<prometheus::Histogram>& seconds_;
  prometheus::Family<prometheus::Gauge>& replicas_;
  prometheus::Family<prometheus::Gauge>& waiting_;
  prometheus::Family<prometheus::Gauge>& running_;
};

}  // namespace sterna::invoke
