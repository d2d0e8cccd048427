// The composition root: makes the parts, wires them, runs them, ends them in order.
#pragma once

#include "server/config.h"

namespace sterna::server {

// Runs until SIGTERM, SIGINT or SIGHUP and everything is drained, or a second one. Call from the main thread,
// before any other thread exists. Fails when the server cannot start, with what to do about it.
// `unknown_variables`: what the log warns of.
Status serve(const Config& config, const std::vector<std::string>& unknown_variables);

}  // namespace sterna::server
