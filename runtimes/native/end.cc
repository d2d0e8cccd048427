#include "native/end.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sterna::native {
namespace {

constexpr int kSignalled = 128;  // as shells tell it

}  // namespace

int end_like(int wait_status, worker::Channel& channel) {
  channel.lines().end_all(channel.out());
  channel.flush();
  if (!WIFSIGNALED(wait_status)) return WEXITSTATUS(wait_status);
  if (WTERMSIG(wait_status) == SIGKILL) ::kill(::getpid(), SIGKILL);
  return kSignalled + WTERMSIG(wait_status);
}

}  // namespace sterna::native
