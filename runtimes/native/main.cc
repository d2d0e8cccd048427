// sterna-native: the zygote of the templates that need no interpreter, and its workers.
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string_view>

#include "native/worker_main.h"
#include "zygote/zygote.h"

namespace {

constexpr const char* kUsage =
    "usage: sterna-native zygote CONTROL_FD          turn forks into sandboxed workers (zygote/CONTROL.md)\n"
    "       sterna-native serve SOCKET_FD CLAIM_FD   be one worker, without a sandbox\n";

int run_zygote(int control_fd) {
  sterna::zygote::ZygoteConfig config;
  config.runtime = "native";
  return sterna::zygote::run_zygote(control_fd, config, [](const sterna::zygote::WorkerFds& fds) {
    return sterna::native::run_worker(fds.socket, fds.claim);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "zygote" && argc == 3) return run_zygote(std::atoi(argv[2]));
  if (verb == "serve" && argc == 4) return sterna::native::run_worker(std::atoi(argv[2]), std::atoi(argv[3]));
  std::cerr << kUsage;
  return EXIT_FAILURE;
}
