// The template `cpp`: a compiled handler in this process.
#pragma once

#include "native/init.h"
#include "worker/channel.h"

namespace sterna::native {

// Serves until the server ends the worker; answers the exit code. `guard` is the channel's, and held.
int serve_cpp(const Init& init, worker::Channel& channel, worker::MutexGuard& guard);

}  // namespace sterna::native
