// The one failure type: every fallible call answers Result<T>; exceptions are for bugs and start-up only.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace sterna {

// Closed and small: what a caller can do about it. One table maps it to HTTP (api/problem.h).
enum class Code : std::uint8_t {
  kInvalid,         // the request is wrong; sending it again cannot help
  kNotFound,        // the named thing does not exist
  kConflict,        // the state of the thing forbids it
  kDenied,          // not allowed
  kExhausted,       // a limit is reached; later may help
  kTimeout,         // a deadline passed
  kUnavailable,     // a part of the platform is not ready
  kFunctionFailed,  // user code failed
  kIo,              // the operating system refused
  kInternal,        // a bug of ours
};

// Who is at fault or speaks; part of the API (`component` in problem answers).
enum class Component : std::uint8_t {
  kGateway,
  kAuth,
  kRegistry,
  kQueue,
  kPool,
  kWorker,
  kFunction,
  kCallback,
  kTrigger,
};

std::string_view to_string(Code code);
std::string_view to_string(Component component);

struct Error {
  Code code = Code::kInternal;
  Component component = Component::kGateway;
  std::string reason;  // stable snake_case word that users see and match on
  std::string
      detail;  // a sentence: what went wrong and what to do; never holds paths or traces of the server
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(Code code, Component component, std::string reason, std::string detail) {
  return std::unexpected(Error{code, component, std::move(reason), std::move(detail)});
}

// An Error from errno: `what` failed. Code kIo, reason `disk_full` (bytes, inodes, quota) or `io_error`.
std::unexpected<Error> fail_errno(Component component, std::string_view what, int error_number);

// Stops the process with the expression and place when `condition` is false. Kept in release builds: for what
// cannot happen unless Sterna itself is wrong.
#define STERNA_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::sterna::assertion_failed(#condition, __FILE__, __LINE__))
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace sterna
