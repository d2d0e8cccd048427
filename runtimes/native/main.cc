// sterna-native: the zygote of the templates that need no interpreter, and its workers.
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <span>
#include <string_view>

#include "base/unique_fd.h"
#include "native/worker_main.h"
#include "zygote/zygote.h"

namespace {

constexpr const char* kUsage =
    "usage: sterna-native zygote CONTROL_FD [SOURCE TARGET]...\n"
    "                                                turn forks into sandboxed workers (zygote/CONTROL.md), "
    "who see\n"
    "                                                the directory SOURCE at TARGET\n"
    "       sterna-native serve SOCKET_FD CLAIM_FD   be one worker, without a sandbox\n";

int run_zygote(int control_fd, std::span<char*> binds) {
  sterna::zygote::ZygoteConfig config;
  config.runtime = "native";
  for (std::size_t at = 0; at + 1 < binds.size(); at += 2) config.binds.push_back({binds[at], binds[at + 1]});
  return sterna::zygote::run_zygote(control_fd, config, [](const sterna::zygote::WorkerFds& fds) {
    // These never pause: their sandbox's init gives its privileges away, and user code gets no way to it.
    sterna::UniqueFd(fds.orders).reset();
    return sterna::native::run_worker(fds.socket, fds.claim);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  if (verb == "zygote" && argc % 2 == 1) return run_zygote(std::atoi(argv[2]), arguments.subspan(3));
  if (verb == "serve" && argc == 4) return sterna::native::run_worker(std::atoi(argv[2]), std::atoi(argv[3]));
  std::cerr << kUsage;
  return EXIT_FAILURE;
}
