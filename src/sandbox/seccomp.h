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

// Refused calls fail with EPERM, clone3 with ENOSYS so that libraries fall back to clone, whose flags can be
// seen. setns fails with ENOSYS too, unless a tracer (tracee.h) carries it out. Fails with internal when
// libseccomp does.
Result<SeccompProgram> make_filter(SocketRule rule);

enum class Threads : std::uint8_t {
  kThis,  // the calling one, and those that it makes
  kAll,   // every one of the process; they must be under the same filters so far
};

// Installs it (which needs no_new_privs or CAP_SYS_ADMIN). With `kNotify` answers the listener, otherwise 0;
// -errno on failure. Async-signal-safe.
int install_filter(const SeccompProgram& program, SocketRule rule, Threads threads = Threads::kThis);

}  // namespace sterna::sandbox
