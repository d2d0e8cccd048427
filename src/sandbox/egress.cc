#include "sandbox/egress.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

#include "base/number.h"
#include "sandbox/files.h"
#include "sandbox/launch.h"

namespace sterna::sandbox {
namespace {

// Usually 140 ms; a busy machine is given time, a caller's own timeout should still end first.
constexpr std::chrono::seconds kPatience{5};

// The kernel's structures may be larger than those this was compiled with.
std::size_t notification_bytes() {
  static const std::size_t bytes = [] {
    seccomp_notif_sizes sizes{};
    if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) return sizeof(seccomp_notif);
    return std::max<std::size_t>(sizes.seccomp_notif, sizeof(seccomp_notif));
  }();
  return bytes;
}

// Joining the worker's user namespace makes pasta lose its death signal, so a shell holds it: it passes the
// end on. It says who pasta is, then its own output is closed, so that the pipe's end tells pasta's.
constexpr const char* kHolder =
    R"(trap 'kill -9 $p 2>/dev/null; exit' TERM; pasta "$@" & p=$!; echo $p; exec >&-; wait $p)";

// In the foreground pasta tells that it is ready by writing its pid to the "file" which is our pipe. No port
// is forwarded either way, and the gateway's address does not lead to the host's loopback.
std::vector<std::string> pasta_command(pid_t worker) {
  const std::string ns = "/proc/" + std::to_string(worker) + "/ns/";
  std::vector<std::string> argv{"/bin/sh",
                                "-c",
                                kHolder,
                                "sterna-egress",
                                "--foreground",
                                "--quiet",
                                "--config-net",
                                "--no-map-gw",
                                "--no-netns-quit",
                                "-t",
                                "none",
                                "-u",
                                "none",
                                "-T",
                                "none",
                                "-U",
                                "none",
                                "--pid",
                                "/dev/stdout"};
  if (::geteuid() == 0) argv.insert(argv.end(), {"--runas", "0"});
  argv.insert(argv.end(), {"--netns", ns + "net", "--userns", ns + "user"});
  return argv;
}

std::vector<pid_t> children_of(pid_t parent) {
  const std::string process = std::to_string(parent);
  std::ifstream file("/proc/" + process + "/task/" + process + "/children");
  std::vector<pid_t> found;
  for (pid_t child = 0; file >> child;) found.push_back(child);
  return found;
}

UniqueFd pidfd_of(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace

bool egress_available() {
  if (::access("/dev/net/tun", R_OK | W_OK) != 0) return false;
  const char* path = std::getenv("PATH");
  for (const std::string_view directory : split(path != nullptr ? path : "/usr/bin:/bin", ':')) {
    if (::access((std::string(directory) + "/pasta").c_str(), X_OK) == 0) return true;
  }
  return false;
}

EgressStarter::EgressStarter(UniqueFd listener, pid_t worker, const Clock& clock, std::vector<int> join_fds)
    : listener_(std::move(listener)), worker_(worker), clock_(clock), join_fds_(std::move(join_fds)) {}

EgressStarter::~EgressStarter() {
  if (holder_ == 0) return;
  // Whoever waits here is the event loop: only SIGKILL ends one that hangs or is stopped, too, and a shell
  // does not pass that on.
  ::kill(holder_, SIGSTOP);  // it starts nothing any more
  std::vector<UniqueFd> held;
  for (const pid_t pasta : children_of(holder_)) held.push_back(pidfd_of(pasta));
  held.push_back(std::move(pasta_));
  for (const UniqueFd& pasta : held) ::syscall(SYS_pidfd_send_signal, pasta.get(), SIGKILL, nullptr, 0);
  ::kill(holder_, SIGKILL);
  ::waitpid(holder_, nullptr, 0);
  // Without its holder pasta is the child of init, which is the server itself as the first process of a
  // container; of nobody else's child this waits.
  for (const UniqueFd& pasta : held) {
    if (pasta) ::waitid(P_PIDFD, static_cast<id_t>(pasta.get()), nullptr, WEXITED);
  }
}

std::size_t EgressStarter::on_listener() {
  std::vector<std::uint64_t> buffer;
  std::size_t taken = 0;
  while (taken < kCallsAtOnce && take_call(buffer)) ++taken;
  return taken;
}

// False when there is none, or none any more.
bool EgressStarter::take_call(std::vector<std::uint64_t>& buffer) {
  // The receiving call waits when there is nothing, whatever the descriptor's mode: ask first.
  pollfd polled{listener_.get(), POLLIN, 0};
  if (::poll(&polled, 1, 0) != 1 || (polled.revents & POLLIN) == 0) return false;
  buffer.assign(notification_bytes() / sizeof(std::uint64_t) + 1, 0);
  auto* notification = reinterpret_cast<seccomp_notif*>(buffer.data());
  if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, notification) != 0)
    return errno == ENOENT || errno == EINTR;  // its caller was killed meanwhile
  if (state_ == State::kIdle) begin();
  if (state_ == State::kStarting)
    held_.push_back(notification->id);
  else
    answer(notification->id);
  return true;
}

void EgressStarter::begin() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
    return finish(State::kFailed, std::string("pipe: ") + std::strerror(errno));
  ready_.reset(ends[0]);
  const UniqueFd write_end(ends[1]);
  auto started = launch({.argv = pasta_command(worker_),
                         .env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                         .fds = {{write_end.get(), 1}},
                         .join_fds = join_fds_,
                         .death_signal = SIGTERM});
  if (!started) return finish(State::kFailed, started.error().detail);
  holder_ = *started;
  state_ = State::kStarting;
  deadline_ = clock_.now() + kPatience;
}

// The holder's line first, then pasta's own.
void EgressStarter::on_ready() {
  char text[64];
  const ssize_t got = ::read(ready_.get(), text, sizeof text);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return finish(State::kFailed, "pasta ended before the network was up");
  told_.append(text, static_cast<std::size_t>(got));
  const auto lines = split(told_, '\n');
  if (!pasta_ && !lines.empty() && told_.find('\n') != std::string::npos)
    hold_pasta(parse_number<pid_t>(lines[0]).value_or(0));
  if (lines.size() > 1) finish(State::kUp, {});
}

// Its parent is the holder, so the pid is nobody else's yet.
void EgressStarter::hold_pasta(pid_t pid) {
  const std::vector<pid_t> held = children_of(holder_);
  if (std::ranges::find(held, pid) != held.end()) pasta_ = pidfd_of(pid);
}

void EgressStarter::on_deadline() {
  if (state_ == State::kStarting) finish(State::kFailed, "pasta was not ready in time");
}

void EgressStarter::finish(State state, std::string error) {
  state_ = state;
  error_ = std::move(error);
  ready_.reset();
  deadline_.reset();
  for (const std::uint64_t call : std::exchange(held_, {})) answer(call);
}

void EgressStarter::answer(std::uint64_t call) {
  seccomp_notif_resp response{};
  response.id = call;
  if (state_ == State::kUp)
    response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  else
    response.error = -ENETUNREACH;
  // Fails only when the caller is gone.
  ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);
}

}  // namespace sterna::sandbox
