// Cuts what user code prints into whole lines, call by call, and frames them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "wire/messages.h"

namespace sterna::worker {

inline constexpr std::size_t kMaxLineBytes = 16U << 10;  // longer lines are cut into several
inline constexpr std::size_t kMaxLogFrame = 64U << 10;
inline constexpr std::size_t kMaxUnfinishedLines = 256;  // over it, all are sent as they are

class LogLines {
 public:
  // Appends LOG frames for all lines that `text` completes to `out`; keeps the rest. `text` is UTF-8; broken
  // bytes become U+FFFD.
  void add(std::string& out, std::uint64_t call, wire::Stream stream, std::string_view text);

  // Appends what a call has written without a line end; call it before the call's last frame.
  void end_call(std::string& out, std::uint64_t call);
  void end_all(std::string& out);

 private:
  using Key = std::pair<std::uint64_t, wire::Stream>;
  std::map<Key, std::string> unfinished_;
};

// `text` with every byte that is not part of valid UTF-8 replaced by U+FFFD.
std::string to_valid_utf8(std::string_view text);
bool is_valid_utf8(std::string_view text);

}  // namespace sterna::worker
