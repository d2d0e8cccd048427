// What `sterna dev` shows: one line for each thing that happens, or one JSON object with --json.
#pragma once

#include <chrono>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "api/json.h"
#include "base/clock.h"
#include "base/error.h"
#include "cli/terminal.h"

namespace sterna::cli {

// A log record of the API, with or without an invocation, as a line for people: "14:03:22 GET /a 200 1.2 ms".
std::string format_dev_record(const api::Json& record, const Painter& paint);

enum class Output : std::uint8_t { kText, kJson };

// Any thread.
class DevView {
 public:
  explicit DevView(Output output) : output_(output) {}

  // `url` calls the function.
  void serving(std::string_view name, std::string_view server, std::string_view url);
  void changed(const std::set<std::string>& paths);
  // `took`: from the change to where it is now.
  void deployed(const api::Json& function, Duration took);
  void failed(const api::Json& function, Duration took);
  void trouble(const Error& error);
  // A line of the function's log, NDJSON.
  void record(std::string_view line);
  // A line of a build's log, NDJSON.
  void build(std::string_view line);

 private:
  void event(const api::OrderedJson& json, std::string_view text);

  const Output output_;
  const Painter paint_;
  std::mutex mutex_;  // lines of two threads stay whole
};

}  // namespace sterna::cli
