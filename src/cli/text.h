// How commands show things on a terminal.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "base/clock.h"
#include "base/error.h"

namespace sterna::cli {

using Row = std::vector<std::string>;

// Columns two spaces apart, as wide as their widest cell; the last one is not padded. The first row is the
// heading. Cells are made printable; further lines of one stay in its column, so that none passes for a row.
std::string format_table(std::vector<Row> rows);

// A field as a cell: text as it is, numbers and other values as JSON; "-" when absent, null, or empty.
// `path` may lead into objects: "metrics.replicas".
std::string cell(const api::Json& object, std::string_view path);

// A field that is text; empty when it is absent or something else.
std::string text_of(const api::Json& object, const char* key);

// An object as rows of field and value; inner objects and lists of objects follow, as tables of their own.
std::string format_object(const api::Json& object);

// One log record: "2026-01-02T03:04:05.678Z stderr text", or the line itself when it is none. Printable.
std::string format_log_line(std::string_view ndjson_line);

// "90s", "10m", "2h", "1d" before `now`, or RFC 3339 as it is. Fails with bad_usage.
Result<std::string> parse_since(std::string_view text, WallTime now);

// Prints to stdout. JSON is indented.
void print(std::string_view text);
void print_json(const api::Json& value);

// Prints to stderr; what cannot be written there is lost.
void print_to_stderr(std::string_view text);

// "3 files, 1.2 MiB"
std::string describe_size(std::size_t files, std::size_t bytes);

// A line on stderr that the next one replaces; silent when stderr is no terminal. Clears itself at the end.
class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::string_view text);
  void clear();

 private:
  bool active_;
  bool shown_ = false;
};

}  // namespace sterna::cli
