// What a worker says first: READY, PAUSED or LOAD_FAILED (wire/PROTOCOL.md).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sterna::pool {

// Texts can be shown, and are empty where the worker has not said them, or not as text. The limits are of
// bytes, without the "..." of what is cut.
struct Hello {
  static constexpr std::size_t kMaxRuntime = 64;
  static constexpr std::size_t kMaxSummary = 1024;

  bool async = false;
  std::string runtime;     // up to kMaxRuntime
  std::string not_paused;  // up to kMaxSummary
  std::string summary;     // up to kMaxSummary
  std::string detail;      // may have many lines
};

// nullopt: larger than wire::kMaxHelloBytes, no JSON object, one with objects or arrays in it, or with more
// than a few members.
std::optional<Hello> read_hello(std::string_view payload);

}  // namespace sterna::pool
