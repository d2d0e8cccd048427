// Sockets in a worker's own network, made by the server when the worker runs already: a helper goes there,
// the server keeps what it opens.
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "base/unique_fd.h"

namespace sterna::sandbox {

// Where a function with allowed names finds its resolver, in its own network.
inline constexpr const char* kOwnResolver = "127.0.0.53";

struct NameSockets {
  UniqueFd questions;  // UDP at kOwnResolver, port 53; does not block
  UniqueFd filter;     // netlink, to change that network's filter (admission.h)
};

// `worker` as the server sees it; it must not have ended. Event loop thread; takes about a millisecond.
// Fails with io.
Result<NameSockets> open_name_sockets(pid_t worker);

}  // namespace sterna::sandbox
