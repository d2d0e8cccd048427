// sterna logs: what a function wrote, now or as it comes.
#include <cstdio>

#include "cli/commands.h"
#include "cli/log_reader.h"
#include "cli/text.h"

namespace sterna::cli {

Result<int> show_logs(const Target& target, const LogsArgs& args) {
  auto path = logs_path(target, args);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  const auto show = [&](std::string_view line) {
    print(target.json ? line : format_log_line(line));
    print("\n");
    return std::fflush(stdout) == 0;
  };
  if (auto read = read_log(api, *path, {.on_begin = {}, .on_line = show}); !read)
    return std::unexpected(read.error());
  return kExitOk;
}

}  // namespace sterna::cli
