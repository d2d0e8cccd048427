// For the program that a spare has become (ZygoteConfig::program): how it is told which function it serves.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>

#include "base/error.h"
#include "base/unique_fd.h"

namespace sterna::zygote {

// The socket from which the program gets its Handover; beside it, descriptor 3 leads to the zygote.
inline constexpr int kOrdersFd = 4;

inline constexpr std::size_t kMaxFilter = 1024;

// From the sandbox's init, when all that needs privileges is done. With it travel worker socket, claim page
// and output pipe.
struct Handover {
  std::uint32_t filter_length = 0;  // instructions; 0: the filter that is in place stays the only one
  sock_filter filter[kMaxFilter] = {};
};

struct Adopted {
  UniqueFd socket;  // frames, wire/PROTOCOL.md
  UniqueFd claim;   // the claim page
};

// Tells the zygote that the program is ready, waits for its order, and then is the function's: /function is
// there, output and error are the worker's pipe, with network egress all threads are under the filter that
// asks for it, and nothing leads to the zygote any more. nullopt: it is not needed, end. Fails with io. Call
// once, from any thread; other threads may run meanwhile.
Result<std::optional<Adopted>> adopt();

}  // namespace sterna::zygote
