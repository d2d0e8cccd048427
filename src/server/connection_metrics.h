// The front door's connections, for /metrics.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "net/http_server.h"

namespace sterna::server {

// Loop only.
class ConnectionMetrics {
 public:
  explicit ConnectionMetrics(prometheus::Registry& registry);
  // Before /metrics is answered.
  void update(const net::HttpServer& http);

 private:
  prometheus::Gauge& open_;
  prometheus::Counter& accepted_;
  prometheus::Family<prometheus::Counter>& refused_;
  prometheus::Counter& full_;
  prometheus::Counter& client_;
  prometheus::Counter& no_descriptors_;
};

}  // namespace sterna::server
