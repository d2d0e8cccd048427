#include "native/program.h"

#include "native/executable.h"
#include "worker/hello.h"

namespace sterna::native {
namespace {

constexpr int kExitLoadFailed = 1;

}  // namespace

Result<Program> program_of(const Init& init, const Environment& environment) {
  Program program;
  for (const std::string& word : init.command) {
    auto expanded = environment.expand(word);
    if (!expanded) return std::unexpected(expanded.error());
    program.argv.push_back(std::move(*expanded));
  }
  if (program.argv.empty()) {
    if (init.handler.empty()) {
      return fail(Code::kInvalid, Component::kFunction, "command_missing",
                  "there is no file bootstrap and no command: deploy one of them");
    }
    program.argv.push_back("./" + init.handler);
  }
  auto path = find_program(program.argv.front(), environment);
  if (!path) return std::unexpected(path.error());
  if (const Status usable = check_executable(*path, environment); !usable)
    return std::unexpected(usable.error());
  program.path = std::move(*path);
  return program;
}

int refuse_to_load(worker::Channel& channel, const std::string& summary, const std::string& detail) {
  channel.lines().end_all(channel.out());
  worker::append_load_failed(channel.out(), summary, detail);
  channel.flush();
  return kExitLoadFailed;
}

}  // namespace sterna::native
