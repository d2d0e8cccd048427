// The template `http`: a server of the user's own that runs as long as its worker.
#pragma once

#include "native/init.h"
#include "worker/channel.h"

namespace sterna::native {

// Serves until the server ends the worker; answers the exit code.
int serve_http(const Init& init, worker::Channel& channel);

}  // namespace sterna::native
