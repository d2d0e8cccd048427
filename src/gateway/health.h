// What is wrong with the server right now, as /readyz, /metrics and the log tell it.
#pragma once

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace sterna::gateway {

enum class Severity : std::uint8_t {
  kDegraded,  // a part does not work; calls are taken
  kNotReady,  // the server cannot do what it is for: /readyz answers 503
};

struct Trouble {
  std::string component;  // a word of docs/operating.md, e.g. "queue"
  std::string reason;     // a stable snake_case word, e.g. "disk_full"
  std::string detail;  // what does not work meanwhile, for everybody's eyes: no paths, no names of functions
  Severity severity = Severity::kDegraded;
};

// Loop only.
class Health {
 public:
  // A trouble is over when it was not seen for that long: what comes and goes is told once.
  static constexpr Duration kCalm = std::chrono::seconds(3);

  // Both outlive it.
  Health(const Clock& clock, prometheus::Registry& metrics);

  // What `source` sees wrong now; called again and again. What it saw before and sees no more ends.
  void update(std::string_view source, const std::vector<Trouble>& seen);
  // The server ends: it is not ready any more.
  void drain(std::string_view detail);

  bool is_ready() const;
  // `{"status": "ready" | "degraded" | "not_ready", "problems": [...]}`
  std::string to_json() const;

 private:
  struct Known {
    std::string source;
    Trouble trouble;
    WallTime since;
    MonotonicTime began;
    MonotonicTime seen;
    prometheus::Gauge* gauge = nullptr;
  };
  void begin(std::string_view source, const Trouble& trouble);
  void end(const Known& known);

  const Clock& clock_;
  prometheus::Family<prometheus::Gauge>& problems_;
  prometheus::Gauge& ready_;
  std::vector<Known> known_;  // in the order in which they began
};

}  // namespace sterna::gateway
