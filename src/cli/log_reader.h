// Reads a function's log, line by line as it comes.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "cli/commands.h"

namespace sterna::cli {

// ".../logs?..." for what the flags ask for. Fails with bad_usage.
Result<std::string> logs_path(const Target& target, const LogsArgs& args);

struct LogSinks {
  std::function<void()>
      on_begin;  // the server has found the log, what comes from now on is seen; may be empty
  std::function<bool(std::string_view line)> on_line;  // without its end; false: enough
};

// Until the log ends, or for ever when it is followed. Fails with what the server refused, or as HttpClient
// does.
Status read_log(Api& api, const std::string& path, const LogSinks& sinks);

}  // namespace sterna::cli
