// The server's own structured log: one JSON object a line on stderr (`json`) or a readable line (`text`).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"

namespace sterna {
class LogWriter;
}

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

// As long as it lives lines go to stderr in a thread, and `write` does not wait for who reads them. One at a
// time, made before and ended after all other threads; its end waits for the last lines, for a second at
// most.
class Background {
 public:
  Background();
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

 private:
  const std::unique_ptr<LogWriter> writer_;
};

// Writes one event. `event` is a short fixed phrase in the present tense; what varies goes into fields. Any
// thread.
void write(Level level, std::string_view event, std::initializer_list<Field> fields = {});

// Waits until everything is written, for 200 ms at most: before an end that runs no destructors. Any thread.
void flush();

// Lines that were dropped because the reader stands still or cannot be written to; 0 again as soon as it has
// been told. Any thread.
std::uint64_t lost();

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
