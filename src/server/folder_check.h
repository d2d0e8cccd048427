// Whether the server can write in a folder of its data directory.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "gateway/health.h"

namespace sterna::server {

struct Folder {
  std::string component;  // of the trouble
  std::string meanwhile;  // what does not work while it cannot be written
  std::filesystem::path path;
};

enum class CheckDepth : std::uint8_t {
  kLook,   // at what the file system says of itself
  kWrite,  // a file that nobody sees, too: costs the disk something
};

// Reasons: disk_full, disk_read_only, not_writable, io_error. No trouble when there are no descriptors to
// look with: that is another one. Blocks on the disk.
std::optional<gateway::Trouble> check_folder(const Folder& folder, CheckDepth depth);

}  // namespace sterna::server
