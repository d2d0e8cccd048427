// Which Node an interpreter is: its file name does not tell.
#pragma once

#include <string>

#include "base/error.h"

namespace sterna::server {

inline constexpr int kOldestNode = 18;

// The major version, e.g. 20, as `interpreter --version` tells. Waits for that, at most some seconds. Fails
// with invalid, reason `bad_interpreter`, and in `detail` why it cannot be used.
Result<int> node_version(const std::string& interpreter);

}  // namespace sterna::server
