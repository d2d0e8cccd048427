// What is typed or piped in and must not be seen.
#pragma once

#include <string>

#include "base/error.h"

namespace sterna::cli {

// Asks on the terminal without showing what is typed; when standard input is none, reads all of it, without
// the line end that `echo` and editors leave there (\n or \r\n). At most a byte more than `most`. Fails with
// bad_usage when it cannot be read, or ended before anything was typed. A signal that ends or stops the
// program finds the terminal as it was.
Result<std::string> read_hidden(const std::string& prompt, std::size_t most);

}  // namespace sterna::cli
