// The system call filter: an allow-list like the container engines' default, made once, installed by each
// child.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "base/error.h"

namespace sterna::sandbox {

using SeccompProgram = std::vector<sock_filter>;

enum class SocketRule : std::uint8_t {
  kAllow,   // sockets of the internet families work at once
  kNotify,  // the first ones wait until the server has brought the network up (egress.h)
};

// Whether code under the filter may add one with a listener, which answers for the kernel. Of all filters the
// kernel takes the strictest action (kill, trap, errno, notify, trace, log, allow), and of two notifications
// the younger filter's: whoever has a listener can let through what the platform only asks a tracer or the
// server for. So a filter that asks anybody allows none.
enum class OwnListeners : std::uint8_t {
  kTraced,   // a tracer (tracee.h) may have one installed, and carry out setns; for others there is neither
  kAllowed,  // and no setns, for nobody; with SocketRule::kAllow. A program installs the next filter itself
};

// Refused calls fail with EPERM; what libraries know to do without fails with ENOSYS: clone3, so that they
// fall back to clone, whose flags can be seen, setns, and filters with listeners. Fails with internal when
// libseccomp does.
Result<SeccompProgram> make_filter(SocketRule rule, OwnListeners listeners = OwnListeners::kTraced);

enum class Threads : std::uint8_t {
  kThis,  // the calling one, and those that it makes
  kAll,   // every one of the process; they must be under the same filters so far
};

// Installs it (which needs no_new_privs or CAP_SYS_ADMIN). With `kNotify` answers the listener, otherwise 0;
// -errno on failure. Async-signal-safe.
int install_filter(const SeccompProgram& program, SocketRule rule, Threads threads = Threads::kThis);

}  // namespace sterna::sandbox
