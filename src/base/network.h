// How much of a network a function's workers have.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sterna {

enum class Network : std::uint8_t {
  kNone,    // loopback of its own only
  kEgress,  // the same, and out into the world, but not to this machine's own services
  kHost,    // the machine's own network, its loopback included: for trusted code
};

std::string_view to_string(Network network);  // "egress", as in limits.network
std::optional<Network> parse_network(std::string_view text);

}  // namespace sterna
