#include "cli/dev_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>

#include "base/clock.h"
#include "bundle/folder_tree.h"

namespace sterna::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr seconds kStartPatience{60};
constexpr int kLookMs = 20;
constexpr int kDrainSeconds = 2;  // requests of a developer need not be waited for longer
constexpr int kStopMs = 15'000;

std::unexpected<Error> did_not_start(std::string detail) {
  return fail(Code::kUnavailable, Component::kGateway, "server_did_not_start", std::move(detail));
}

// In the child, after fork: only what is safe there.
[[noreturn]] void become_server(const char* const* arguments, int log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);  // it died before that
  setpgid(0, 0);                      // Ctrl-C is for the parent, which then stops us
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0) _exit(1);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execv("/proc/self/exe", const_cast<char* const*>(arguments));
  _exit(1);
}

}  // namespace

Result<std::unique_ptr<DevServer>> DevServer::start(std::uint16_t port) {
  std::error_code error;
  std::string folder = fs::temp_directory_path(error) / "sterna-dev-XXXXXX";
  if (error || mkdtemp(folder.data()) == nullptr)
    return did_not_start("no folder can be made for temporary files; TMPDIR names another place");
  std::unique_ptr<DevServer> server(new DevServer(folder));
  if (auto launched = server->launch(port); !launched) return std::unexpected(launched.error());
  if (auto listening = server->wait_until_listening(); !listening) return std::unexpected(listening.error());
  return server;
}

Status DevServer::launch(std::uint16_t port) {
  const std::string listen = fmt::format("127.0.0.1:{}", port);
  const std::string data = folder_ / "data";
  const std::string drain = std::to_string(kDrainSeconds);
  const char* const arguments[] = {"sterna",          "serve",        "--auth",     "none",
                                   "--listen",        listen.c_str(), "--data-dir", data.c_str(),
                                   "--drain-seconds", drain.c_str(),  nullptr};
  const UniqueFd log(open((folder_ / "server.log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return did_not_start(fmt::format("{} cannot be written", folder_.native()));
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become_server(arguments, log.get(), parent);
  if (pid_ < 0) return did_not_start("no process can be started");
  process_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  if (!process_) return did_not_start("the server cannot be watched (pidfd_open)");
  return {};
}

// The server writes its address once it listens.
Status DevServer::wait_until_listening() {
  const SystemClock clock;
  const MonotonicTime began = clock.now();
  while (clock.now() - began < kStartPatience) {
    std::ifstream file(folder_ / "data" / "address");
    if (std::string address; std::getline(file, address) && !file.eof()) {
      url_ = "http://" + address;
      return {};
    }
    if (ends_within(kLookMs)) return did_not_start(fmt::format("the server did not start: {}", last_words()));
  }
  return did_not_start(fmt::format("the server did not listen within {} s", kStartPatience.count()));
}

std::string DevServer::last_words() const {
  std::ifstream log(folder_ / "server.log");
  std::string last;
  for (std::string line; std::getline(log, line);) {
    if (!line.empty()) last = std::move(line);
  }
  return last;
}

bool DevServer::ends_within(int milliseconds) const {
  pollfd ended{.fd = process_.get(), .events = POLLIN, .revents = 0};
  return poll(&ended, 1, milliseconds) > 0;
}

DevServer::~DevServer() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    if (!process_ || !ends_within(kStopMs)) kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  bundle::remove_tree(folder_);  // the code in it is read-only
}

}  // namespace sterna::cli
