// A function's secrets on their way into its sandbox: packed by the server, unpacked by the child as files of
// a small memory file system of its own. They never touch a disk.
#pragma once

#include <map>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "sandbox/enter.h"

namespace sterna::sandbox {

inline constexpr char kSecretsDir[] = "/run/secrets";

// For the server: names and values in a sealed memory file, to be sent along with a start. Fails with io.
Result<UniqueFd> pack_secrets(const std::map<std::string, std::string>& secrets);

// For the child, with its user and group maps written and before `enter`: mounts a read-only tmpfs at
// /run/secrets with one file (0400, the inner user's) for each. From here on the calling thread makes files
// as the inner user. No allocation.
StepError mount_secrets(int packed_fd);

}  // namespace sterna::sandbox
