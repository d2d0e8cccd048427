// The addresses that a function's allowed names have led to: sets in the filter of its network, which the
// server fills before it tells the function an address.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/ip_address.h"

namespace sterna::sandbox {

class NetfilterMessages;

// How long packets reach an address after it was admitted, or after the last packet to it: a connection in
// use lives on when its name has moved. At least twice as long as an answer may be kept (name_server.cc).
inline constexpr std::chrono::seconds kAdmissionTime{600};
// At a time, of each family, in one worker's network.
inline constexpr std::uint32_t kMaxAdmitted = 1024;

struct Admission {
  IpAddress address;
  std::optional<std::uint16_t> port;  // of TCP and UDP; none: every packet
};

// Where an address of a family is admitted, and how: the key is the address and, padded to four bytes, the
// port, 0 for all.
const char* admission_set(bool v4);
std::uint32_t admission_key_bytes(bool v4);

// The messages that make the sets, empty.
void add_admission_sets(NetfilterMessages& messages);

// The messages that admit addresses for kAdmissionTime from now on, those that were admitted before too.
// Pure.
std::string admission_messages(std::span<const Admission> admitted);

// Sends them by `filter`, a netlink socket of that network (network_visit.h). Fails with exhausted when
// kMaxAdmitted are there, else with io; then none is admitted.
Status admit(int filter, std::span<const Admission> admitted);

}  // namespace sterna::sandbox
