#include "base/error.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/before_abort.h"

namespace sterna {
namespace {

constexpr int kReaderPatienceMs = 200;
std::atomic<void (*)()> last_words_ = nullptr;

}  // namespace

std::string_view to_string(Code code) {
  switch (code) {
    case Code::kInvalid:
      return "invalid";
    case Code::kNotFound:
      return "not_found";
    case Code::kConflict:
      return "conflict";
    case Code::kDenied:
      return "denied";
    case Code::kExhausted:
      return "exhausted";
    case Code::kTimeout:
      return "timeout";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kFunctionFailed:
      return "function_failed";
    case Code::kIo:
      return "io";
    case Code::kInternal:
      return "internal";
  }
  return "internal";
}

std::string_view to_string(Component component) {
  switch (component) {
    case Component::kGateway:
      return "gateway";
    case Component::kAuth:
      return "auth";
    case Component::kRegistry:
      return "registry";
    case Component::kQueue:
      return "queue";
    case Component::kPool:
      return "pool";
    case Component::kWorker:
      return "worker";
    case Component::kFunction:
      return "function";
    case Component::kCallback:
      return "callback";
    case Component::kTrigger:
      return "trigger";
  }
  return "gateway";
}

std::unexpected<Error> fail_errno(Component component, std::string_view what, int error_number) {
  std::string detail(what);
  detail += ": ";
  detail += std::strerror(error_number);
  // No bytes, no inodes, or no quota for either.
  const bool is_full = error_number == ENOSPC || error_number == EDQUOT;
  return fail(Code::kIo, component, is_full ? "disk_full" : "io_error", std::move(detail));
}

void before_abort(void (*last_words)()) {
  last_words_ = last_words;
}

void assertion_failed(const char* expression, const char* file, int line) {
  if (void (*const last_words)() = last_words_) last_words();
  std::array<char, 512> text;
  const int size = std::snprintf(text.data(), text.size(), "sterna: assertion failed: %s at %s:%d\n",
                                 expression, file, line);
  // A reader that stands still must not keep the process from its end.
  pollfd room{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (size > 0 && ::poll(&room, 1, kReaderPatienceMs) == 1) {
    [[maybe_unused]] const ssize_t ignored =
        ::write(STDERR_FILENO, text.data(), std::min(static_cast<std::size_t>(size), text.size() - 1));
  }
  std::abort();
}

}  // namespace sterna
