// The program `sterna`: the server and its command line.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "cli/program.h"
#include "main/serve.h"

namespace {

// The next file to be opened, the data directory's lock, would take the place of a standard stream that is
// closed, and get all that is printed. Reading and writing fail as on a closed one.
bool fill_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (!fill_standard_streams()) return EXIT_FAILURE;
  sterna::cli::Program program;
  const sterna::ServeCommand serve(program);
  return program.run(argc, argv);
}
