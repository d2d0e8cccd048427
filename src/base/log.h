// The server's own structured log: one JSON object a line on stderr (`json`) or a readable line (`text`).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"

namespace sterna::log {

enum class Level : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class Format : std::uint8_t { kText, kJson };

struct Field {
  std::string_view key;
  std::variant<std::string_view, std::int64_t, double> value;
};

// Call once at start, before other threads. Unset: text, info.
void configure(Level level, Format format);
Result<Level> parse_level(std::string_view text);

// Writes one event. `event` is a short fixed phrase in the present tense; what varies goes into fields. Any
// thread.
void write(Level level, std::string_view event, std::initializer_list<Field> fields = {});

inline void debug(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::kDebug, event, fields);
}
inline void info(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::kInfo, event, fields);
}
inline void warn(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::kWarn, event, fields);
}
inline void error(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::kError, event, fields);
}

}  // namespace sterna::log
