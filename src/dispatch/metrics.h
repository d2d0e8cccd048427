// The counters of asynchronous invocations and callbacks, for /metrics (Prometheus).
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "queue/lease_queue.h"
#include "queue/outbox.h"

namespace sterna::dispatch {

// Loop only. Series are made when something is counted or there is work from before: functions without
// asynchronous work cost nothing.
class AsyncMetrics {
 public:
  // Of functions that do not exist any more nothing is counted: their series would stay for ever.
  using Exists = std::function<bool(const std::string& function_id)>;

  AsyncMetrics(prometheus::Registry& registry, const queue::LeaseQueue& queue, const queue::Outbox& outbox,
               const Clock& clock, Exists exists);

  // It has invocations from before the start: its gauges tell of them.
  void found(const queue::FunctionName& function) { of(function); }
  void accepted(const queue::FunctionName& function);
  void settled(const queue::FunctionName& function, queue::State state, const std::string& reason);
  void retried(const queue::FunctionName& function);
  void delivery(const queue::FunctionName& function, const std::string& outcome);
  // The function is gone: so are its series.
  void remove(const std::string& function_id);
  // Brings the gauges up to date.
  void update_gauges();

 private:
  // Of one name. A function that is deleted and its successor have the same for a moment.
  struct Series {
    std::string name;  // "space/name"
    std::size_t functions = 0;
    std::unordered_map<std::string, std::pair<prometheus::Family<prometheus::Counter>*, prometheus::Counter*>>
        counters;  // by name and label
    prometheus::Gauge* depth = nullptr;
    prometheus::Gauge* running = nullptr;
    prometheus::Gauge* oldest = nullptr;
  };
  Series& of(const queue::FunctionName& function);
  std::unique_ptr<Series> make_series(const queue::FunctionName& function);
  void count(const queue::FunctionName& function, prometheus::Family<prometheus::Counter>& family,
             const char* label, const std::string& value);

  const queue::LeaseQueue& queue_;
  const queue::Outbox& outbox_;
  const Clock& clock_;
  prometheus::Family<prometheus::Counter>& accepted_;
  prometheus::Family<prometheus::Counter>& settled_;
  prometheus::Family<prometheus::Counter>& retries_;
  prometheus::Family<prometheus::Counter>& dead_letters_;
  prometheus::Family<prometheus::Counter>& deliveries_;
  prometheus::Family<prometheus::Gauge>& depth_;
  prometheus::Family<prometheus::Gauge>& running_;
  prometheus::Family<prometheus::Gauge>& oldest_;
  prometheus::Gauge& callbacks_pending_;
  const Exists exists_;
  std::unordered_map<std::string, std::unique_ptr<Series>> by_name_;
  std::unordered_map<std::string, Series*> by_id_;  // of the function
};

}  // namespace sterna::dispatch
