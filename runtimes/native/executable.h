// Tells before the first call whether a file can be executed at all.
#pragma once

#include <string>

#include "native/environment.h"

namespace sterna::native {

// Looks at the beginning of the file: a script's interpreter must be there, an ELF program must be one for
// this machine and its loader be there. Fails with invalid, reason `command_unusable`, saying what to do;
// succeeds where it cannot look.
Status check_executable(const std::string& path, const Environment& environment);

}  // namespace sterna::native
