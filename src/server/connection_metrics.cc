#include "server/connection_metrics.h"

#include "server/counter.h"

namespace sterna::server {

ConnectionMetrics::ConnectionMetrics(prometheus::Registry& registry)
    : open_(prometheus::BuildGauge()
                .Name("sterna_connections")
                .Help("Open connections of clients.")
                .Register(registry)
                .Add({})),
      accepted_(prometheus::BuildCounter()
                    .Name("sterna_connections_accepted_total")
                    .Help("Connections of clients that were accepted.")
                    .Register(registry)
                    .Add({})),
      refused_(prometheus::BuildCounter()
                   .Name("sterna_connections_refused_total")
                   .Help("Connections that were answered with 503 and closed, by reason.")
                   .Register(registry)),
      full_(refused_.Add({{"reason", "too_many_connections"}})),
      client_(refused_.Add({{"reason", "too_many_connections_of_client"}})),
      no_descriptors_(refused_.Add({{"reason", "out_of_descriptors"}})) {}

void ConnectionMetrics::update(const net::HttpServer& http) {
  open_.Set(static_cast<double>(http.connections()));
  bring_to(accepted_, static_cast<double>(http.accepted()));
  bring_to(full_, static_cast<double>(http.refused().full));
  bring_to(client_, static_cast<double>(http.refused().client));
  bring_to(no_descriptors_, static_cast<double>(http.refused().no_descriptors));
}

}  // namespace sterna::server
