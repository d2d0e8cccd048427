// What a build keeps on disk without a name: files that are open, but in no folder any more. Internal to
// build/.
#pragma once

#include <cstdint>
#include <filesystem>

namespace sterna::build {

// Bytes on the disk of `folder` in files without a name that processes hold open or mapped, of those
// processes that see `folder` as their /function. What cannot be looked at does not count.
std::uint64_t unnamed_bytes(const std::filesystem::path& folder);

}  // namespace sterna::build
