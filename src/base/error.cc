#include "base/error.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sterna {

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

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "sterna: assertion failed: %s at %s:%d\n", expression, file, line);
  std::abort();
}

}  // namespace sterna
