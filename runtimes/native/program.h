// Which program a function of the templates http, command and lambda is.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "native/environment.h"
#include "native/init.h"
#include "worker/channel.h"

namespace sterna::native {

struct Program {
  std::string path;
  std::vector<std::string> argv;
};

// The function's command with its variables replaced, or the handler file when it has none. Fails like
// find_program.
Result<Program> program_of(const Init& init, const Environment& environment);

// Tells the server that the function cannot run; answers the worker's exit code.
int refuse_to_load(worker::Channel& channel, const std::string& summary, const std::string& detail = {});

}  // namespace sterna::native
