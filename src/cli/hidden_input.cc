#include "cli/hidden_input.h"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

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

std::string ask(const std::string& prompt) {
  print_to_stderr(fmt::format("{} (not shown): ", prompt));
  std::string line;
  {
    const Hidden hidden;
    std::getline(std::cin, line);
  }
  print_to_stderr("\n");
  return line;
}

}  // namespace

Result<std::string> read_hidden(const std::string& prompt, std::size_t most) {
  if (::isatty(STDIN_FILENO) != 0) return ask(prompt);
  std::string value(most + 2, '\0');
  value.resize(std::fread(value.data(), 1, value.size(), stdin));
  if (std::ferror(stdin) != 0) return bad_usage(fmt::format("standard input: {}", std::strerror(errno)));
  if (value.ends_with('\n')) value.pop_back();
  if (value.ends_with('\r')) value.pop_back();
  return value;
}

}  // namespace sterna::cli
