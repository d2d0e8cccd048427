#include "base/network.h"

namespace sterna {

std::string_view to_string(Network network) {
  switch (network) {
    case Network::kNone:
      return "none";
    case Network::kEgress:
      return "egress";
    case Network::kHost:
      return "host";
  }
  return "none";
}

std::optional<Network> parse_network(std::string_view text) {
  for (const Network network : {Network::kNone, Network::kEgress, Network::kHost}) {
    if (text == to_string(network)) return network;
  }
  return std::nullopt;
}

}  // namespace sterna
