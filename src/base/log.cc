#include "base/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <iterator>
#include <string>

#include "base/before_abort.h"
#include "base/clock.h"
#include "base/log_writer.h"

namespace sterna::log {
namespace {

struct Sink {
  Level level = Level::kInfo;
  Format format = Format::kText;
  std::atomic<LogWriter*> writer = nullptr;
};

Sink& sink() {
  static Sink instance;
  return instance;
}

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

// A JSON string (RFC 8259 section 7); bytes outside ASCII pass as they are.
void append_json(fmt::memory_buffer& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

void append_value(fmt::memory_buffer& out, const Field& field) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    append_json(out, *text);
  } else if (const auto* number = std::get_if<std::int64_t>(&field.value)) {
    fmt::format_to(std::back_inserter(out), "{}", *number);
  } else {
    fmt::format_to(std::back_inserter(out), "{:.6g}", std::get<double>(field.value));
  }
}

// With its end.
std::string format_line(Level level, std::string_view event, std::initializer_list<Field> fields) {
  fmt::memory_buffer line;
  const std::string time = format_rfc3339(SystemClock().wall());
  if (sink().format == Format::kJson) {
    fmt::format_to(std::back_inserter(line), R"({{"time":"{}","level":"{}","event":)", time,
                   to_string(level));
    append_json(line, event);
    for (const Field& field : fields) {
      line.push_back(',');
      append_json(line, field.key);
      line.push_back(':');
      append_value(line, field);
    }
    line.push_back('}');
  } else {
    fmt::format_to(std::back_inserter(line), "{} {:<5} {}", time, to_string(level), event);
    for (const Field& field : fields) {
      fmt::format_to(std::back_inserter(line), " {}=", field.key);
      append_value(line, field);
    }
  }
  line.push_back('\n');
  return fmt::to_string(line);
}

void write_now(std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    if (written < 0 && errno != EINTR) return;
    if (written > 0) line.remove_prefix(static_cast<std::size_t>(written));
  }
}

constexpr Duration kLastWords = std::chrono::milliseconds(200);

}  // namespace

void configure(Level level, Format format) {
  sink().level = level;
  sink().format = format;
}

Result<Level> parse_level(std::string_view text) {
  for (const Level level : {Level::kDebug, Level::kInfo, Level::kWarn, Level::kError}) {
    if (text == to_string(level)) return level;
  }
  return fail(Code::kInvalid, Component::kGateway, "bad_log_level",
              "log level must be debug, info, warn or error");
}

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  Sink& to = sink();
  if (level < to.level) return;
  const std::string line = format_line(level, event, fields);
  if (LogWriter* const writer = to.writer) return writer->put(line);
  write_now(line);
}

void flush() {
  if (LogWriter* const writer = sink().writer) writer->flush(kLastWords);
}

Background::Background()
    : writer_(std::make_unique<LogWriter>(STDERR_FILENO, [](std::uint64_t lines) {
        return format_line(Level::kWarn, "lines of this log were dropped",
                           {{"lines", static_cast<std::int64_t>(lines)}});
      })) {
  sink().writer = writer_.get();
  before_abort(flush);
}

Background::~Background() {
  before_abort(nullptr);
  sink().writer = nullptr;
}

std::uint64_t lost() {
  const LogWriter* const writer = sink().writer;
  return writer == nullptr ? 0 : writer->lost();
}

}  // namespace sterna::log
