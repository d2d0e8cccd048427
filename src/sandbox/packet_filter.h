// Egress rules in the kernel (nf_tables) of a sandbox's own network: for every packet that leaves it,
// whatever the socket, its options or its device. Who made the namespace may set them, root or not.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "sandbox/egress_rules.h"
#include "sandbox/enter.h"

namespace sterna::sandbox {

// The messages to the kernel that make `rules` the filter of a network that has none. Pure.
std::string filter_messages(const std::vector<EgressRule>& rules);

// The same as a sealed memory file that can be handed to the process that sends them.
Result<UniqueFd> pack_filter(const std::vector<EgressRule>& rules);

// Sends what pack_filter made, to the network that the caller is in and has CAP_NET_ADMIN over. No
// allocation.
StepError install_packet_filter(int packed);

// Whether this kernel can do it, tried in a network of its own by a child. Any thread.
bool can_filter_packets();

}  // namespace sterna::sandbox
