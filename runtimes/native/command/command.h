// The template `command`: one process per call.
#pragma once

#include "native/init.h"
#include "worker/channel.h"

namespace sterna::native {

// Serves until the server ends the worker; answers the exit code.
int serve_command(const Init& init, worker::Channel& channel);

}  // namespace sterna::native
