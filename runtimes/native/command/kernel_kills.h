// Tells a process that was killed for want of memory from one that something else has killed.
#pragma once

#include <cstdint>
#include <optional>

namespace sterna::native {

// How many processes of the whole machine the kernel has killed for want of memory since it was started.
// Fails with nullopt where /proc/vmstat does not tell.
std::optional<std::uint64_t> kernel_kills();

}  // namespace sterna::native
