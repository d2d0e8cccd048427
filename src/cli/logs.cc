// sterna logs: what a function wrote, now or as it comes.
#include <fmt/format.h>

#include <cstdio>

#include "base/ulid.h"
#include "cli/commands.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

constexpr std::size_t kMaxLineBytes = 1U << 20;  // the server cuts lines far below

// Cuts the stream into lines and prints each.
class LinePrinter {
 public:
  explicit LinePrinter(bool raw) : raw_(raw) {}

  bool take(std::string_view part) {
    while (!part.empty()) {
      const auto end = part.find('\n');
      rest_.append(part.substr(0, end));
      if (end == std::string_view::npos) break;
      show();
      part.remove_prefix(end + 1);
    }
    return rest_.size() <= kMaxLineBytes && std::fflush(stdout) == 0;
  }

  void finish() {
    if (!rest_.empty()) show();
  }

 private:
  void show() {
    print(raw_ ? rest_ : format_log_line(rest_));
    print("\n");
    rest_.clear();
  }

  bool raw_;
  std::string rest_;
};

Result<std::string> logs_path(const Target& target, const LogsArgs& args) {
  auto path = function_path(target, args.name);
  if (!path) return path;
  *path += fmt::format("/logs?follow={}", args.follow);
  if (args.tail) *path += fmt::format("&tail={}", *args.tail);
  if (!args.call_id.empty() && !is_ulid(args.call_id)) {
    return bad_usage(fmt::format("--call-id {}: a call id is 26 characters, as in X-Call-Id", args.call_id));
  }
  if (!args.call_id.empty()) *path += "&call_id=" + args.call_id;
  if (!args.since.empty()) {
    auto since = parse_since(args.since, SystemClock().wall());
    if (!since) return since;
    for (std::size_t at = 0; (at = since->find('+', at)) != std::string::npos;) since->replace(at, 1, "%2B");
    *path += "&since=" + *since;
  }
  return path;
}

}  // namespace

Result<int> show_logs(const Target& target, const LogsArgs& args) {
  auto path = logs_path(target, args);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  HttpReply refusal;
  LinePrinter printer(target.json);
  const HttpSinks sinks{
      .on_head = [&](const HttpHead& head) { refusal.head = head; },
      .on_body =
          [&](std::string_view part) {
            if (refusal.head.status < 400) return printer.take(part);
            refusal.body.append(part);
            return refusal.body.size() <= kMaxLineBytes;
          },
  };
  if (auto done = api.stream(api.request("GET", *path), sinks); !done) return std::unexpected(done.error());
  if (refusal.head.status >= 400) return std::unexpected(error_of(refusal));
  printer.finish();
  return kExitOk;
}

}  // namespace sterna::cli
