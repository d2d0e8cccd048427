// The variables that AWS Lambda's custom runtimes find in their environment.
#pragma once

#include <string>

#include "base/clock.h"
#include "native/environment.h"
#include "native/init.h"

namespace sterna::native {

// `api` is the Runtime API's host and port, `now` goes into the name of the log stream. The function may set
// the handler, the region, the time zone and the search paths itself; the others tell what is.
Environment lambda_environment(const Init& init, const std::string& api, WallTime now);

// "arn:aws:lambda:us-east-1:000000000000:function:NAME"
std::string function_arn(const Init& init);

}  // namespace sterna::native
