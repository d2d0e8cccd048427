// The template `lambda`: a custom runtime of AWS Lambda, a program that asks for its invocations itself.
#pragma once

#include "native/init.h"
#include "worker/channel.h"

namespace sterna::native {

// Serves until the server ends the worker; answers the exit code.
int serve_lambda(const Init& init, worker::Channel& channel);

}  // namespace sterna::native
