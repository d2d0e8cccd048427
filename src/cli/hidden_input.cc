#include "cli/hidden_input.h"

#include <fmt/format.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include "cli/api_client.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

// The terminal shows nothing of what is typed while this lives.
class Hidden {
 public:
  Hidden() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
  }
  ~Hidden() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  Hidden(const Hidden&) = delete;
  Hidden& operator=(const Hidden&) = delete;

 private:
  termios before_{};
  bool changed_ = false;
};

volatile std::sig_atomic_t caught = 0;

void note(int signal) {
  caught = signal;
}

// Signals that end or stop the program are held while this lives, but for `wait`, which they end. Those that
// are ignored stay so.
class Held {
 public:
  Held() {
    sigset_t held;
    ::sigemptyset(&held);
    for (Each& each : signals_) {
      ::sigaction(each.signal, nullptr, &each.before);
      if (each.before.sa_handler == SIG_IGN) continue;
      struct sigaction noted{};
      noted.sa_handler = note;
      ::sigaction(each.signal, &noted, nullptr);
      ::sigaddset(&held, each.signal);
    }
    ::sigprocmask(SIG_BLOCK, &held, &mask_before_);
  }
  ~Held() {
    for (const Each& each : signals_) ::sigaction(each.signal, &each.before, nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  // Until there is something to read; false when it was ended.
  bool wait() const {
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    while (caught == 0) {
      if (::ppoll(&input, 1, nullptr, &mask_before_) >= 0 || errno != EINTR) return caught == 0;
    }
    return false;
  }

 private:
  struct Each {
    int signal;
    struct sigaction before{};
  };
  std::array<Each, 5> signals_ = {Each{SIGINT}, Each{SIGTERM}, Each{SIGQUIT}, Each{SIGHUP}, Each{SIGTSTP}};
  sigset_t mask_before_{};
};

// Without the line feed. False when the input ended before one, and nothing had been typed.
bool read_line(const Held& held, std::string& line) {
  std::array<char, 4096> part;  // as much as a terminal gives at a time, a line at most
  while (held.wait()) {
    const auto count = ::read(STDIN_FILENO, part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return !line.empty();
    line.append(part.data(), static_cast<std::size_t>(count));
    if (!line.ends_with('\n')) continue;
    line.pop_back();
    return true;
  }
  return true;
}

Result<std::string> ask(const std::string& prompt) {
  while (true) {
    print_to_stderr(fmt::format("{} (not shown): ", prompt));
    std::string line;
    bool typed = false;
    {
      const Held held;
      const Hidden hidden;
      typed = read_line(held, line);
    }
    print_to_stderr("\n");
    if (const int signal = std::exchange(caught, 0); signal != 0) {
      ::raise(signal);
      continue;  // it was only stopped
    }
    if (!typed) return bad_usage("nothing was typed");
    return line;
  }
}

}  // namespace

Result<std::string> read_hidden(const std::string& prompt, std::size_t most) {
  if (::isatty(STDIN_FILENO) != 0) return ask(prompt);
  std::string value(most + 2, '\0');
  value.resize(std::fread(value.data(), 1, value.size(), stdin));
  if (std::ferror(stdin) != 0) return bad_usage(fmt::format("standard input: {}", std::strerror(errno)));
  if (value.ends_with('\n')) {
    value.pop_back();
    if (value.ends_with('\r')) value.pop_back();
  }
  return value;
}

}  // namespace sterna::cli
