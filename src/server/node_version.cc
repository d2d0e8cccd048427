#include "server/node_version.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>

#include "base/unique_fd.h"
#include "sandbox/launch.h"

namespace sterna::server {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{10};
constexpr std::size_t kMaxAnswer = 64;

std::unexpected<Error> unusable(std::string why) {
  return fail(Code::kInvalid, Component::kPool, "bad_interpreter", std::move(why));
}

// What comes until the other side closes the pipe; cut off at the deadline.
std::string read_answer(int pipe) {
  const auto deadline = SteadyClock::now() + kPatience;
  std::string answer;
  while (answer.size() < kMaxAnswer) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now());
    pollfd polled{pipe, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&polled, 1, static_cast<int>(left.count())) <= 0) break;
    char buffer[kMaxAnswer];
    const ssize_t got = ::read(pipe, buffer, sizeof buffer);
    if (got <= 0) break;
    answer.append(buffer, static_cast<std::size_t>(got));
  }
  return answer;
}

}  // namespace

Result<int> node_version(const std::string& interpreter) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(Component::kPool, "pipe", errno);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const auto pid = sandbox::launch({.argv = {interpreter, "--version"},
                                    .env = {"PATH=/usr/local/bin:/usr/bin:/bin"},
                                    .fds = {{write_end.get(), STDOUT_FILENO}},
                                    .join_fds = {}});
  if (!pid) return unusable(pid.error().detail);
  write_end.reset();
  const std::string answer = read_answer(read_end.get());
  ::kill(*pid, SIGKILL);  // it has said all it has to say
  ::waitpid(*pid, nullptr, 0);

  int major = 0;
  const bool is_version =
      answer.starts_with('v') &&
      std::from_chars(answer.data() + 1, answer.data() + answer.size(), major).ec == std::errc();
  if (!is_version) return unusable("`--version` does not answer with a version of Node");
  if (major < kOldestNode)
    return unusable(fmt::format("it is version {}, and {} is the oldest that works", major, kOldestNode));
  return major;
}

}  // namespace sterna::server
