// One line that a function wrote, or that Sterna wrote about it, and its form as NDJSON (SPEC 3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace sterna::logs {

// Text beyond this is cut off and the cut is marked in the text.
inline constexpr std::size_t kMaxTextBytes = 16U << 10;

// kInvocation: a run that has ended; such records are shown to who follows them, and not kept.
enum class Stream : std::uint8_t { kStdout, kStderr, kPlatform, kInvocation };
std::string_view to_string(Stream stream);

struct Record {
  std::string name;      // of the function
  std::string instance;  // the worker's id; empty when no worker is concerned
  WallTime timestamp;
  std::string text;  // one line without its end
  Stream stream = Stream::kStdout;
  std::string call_id;  // empty outside a call

  // Grows with every record that a store takes, across restarts too. Set by FunctionLogs::append; not shown
  // to users.
  std::uint64_t sequence = 0;

  std::string invocation{};  // with kInvocation, more about the run: a JSON object
  std::string space{};  // of the function, whose share of the store's memory it takes; not shown, not kept
};

// Cuts `text` to kMaxTextBytes at a character's edge and appends how many bytes are gone.
void cut_text(std::string& text);

// One JSON object and a line feed, as users see it. Bytes that are not UTF-8 become U+FFFD.
std::string to_ndjson(const Record& record);

// The same with the sequence, as the store keeps it.
std::string to_stored_line(const Record& record);

// Reads a stored line (without its line feed); nullopt when it is torn or not ours.
std::optional<Record> parse_stored_line(std::string_view line);

}  // namespace sterna::logs
