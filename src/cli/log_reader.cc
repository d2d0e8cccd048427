#include "cli/log_reader.h"

#include <fmt/format.h>

#include "base/ulid.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

constexpr std::size_t kMaxLineBytes = 1U << 20;  // the server cuts lines far below

// Cuts the stream into lines.
class Lines {
 public:
  explicit Lines(const std::function<bool(std::string_view)>& on_line) : on_line_(on_line) {}

  bool take(std::string_view part) {
    while (!part.empty()) {
      const auto end = part.find('\n');
      rest_.append(part.substr(0, end));
      if (end == std::string_view::npos) break;
      if (!on_line_(rest_)) return false;
      rest_.clear();
      part.remove_prefix(end + 1);
    }
    return rest_.size() <= kMaxLineBytes;
  }

  void finish() {
    if (!rest_.empty()) on_line_(rest_);
  }

 private:
  const std::function<bool(std::string_view)>& on_line_;
  std::string rest_;
};

}  // namespace

Result<std::string> logs_path(const Target& target, const LogsArgs& args) {
  auto path = function_path(target, args.name);
  if (!path) return path;
  *path += fmt::format("/logs?follow={}", args.follow);
  if (args.invocations) *path += "&invocations=true";
  if (args.tail) *path += fmt::format("&tail={}", *args.tail);
  if (!args.call_id.empty() && !is_ulid(args.call_id)) {
    return bad_usage(
        fmt::format("--call-id {}: a call id is 26 characters, in capitals, as in X-Call-Id", args.call_id));
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

Status read_log(Api& api, const std::string& path, const LogSinks& sinks) {
  HttpReply refusal;
  bool is_log = false;
  Lines lines(sinks.on_line);
  const HttpSinks parts{
      .on_head =
          [&](const HttpHead& head) {
            refusal.head = head;
            is_log = head.status < 400 && head.find("content-type").starts_with("application/x-ndjson");
            if (is_log && sinks.on_begin) sinks.on_begin();
          },
      .on_body =
          [&](std::string_view part) {
            if (is_log) return lines.take(part);
            refusal.body.append(part);
            return refusal.body.size() <= kMaxLineBytes;
          },
  };
  if (auto done = api.stream(api.request("GET", path), parts); !done) return done;
  if (!is_log) return std::unexpected(error_of(refusal));  // something before the server may have answered
  lines.finish();
  return {};
}

}  // namespace sterna::cli
