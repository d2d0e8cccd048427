#include "server/run_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/json.h"

namespace sterna::server {
namespace {

constexpr std::size_t kMaxTargetBytes = 2U << 10;  // a longer path or query is cut

double seconds(Duration duration) {
  return std::max(std::chrono::duration<double>(duration).count(), 0.0);
}

std::string cut(std::string_view text) {
  return std::string(text.substr(0, kMaxTargetBytes));
}

std::string text_of(const invoke::EndedRun& run) {
  constexpr double kMillisecondsPerSecond = 1000;
  std::string text(run.method);
  text.append(" ").append(cut(run.path));
  if (!run.query.empty()) text.append("?").append(cut(run.query));
  if (run.status != 0) text += fmt::format(" {}", run.status);
  if (!run.reason.empty()) text.append(" ").append(run.reason);
  text += fmt::format(" in {:.1f} ms", kMillisecondsPerSecond * seconds(run.timings.total()));
  if (run.timings.was_cold)
    text += fmt::format(", cold start {:.1f} ms", kMillisecondsPerSecond * seconds(run.timings.cold));
  return text;
}

}  // namespace

logs::Record run_record(const std::string& function, const invoke::EndedRun& run, WallTime now) {
  api::OrderedJson json = {{"method", run.method},
                           {"path", cut(run.path)},
                           {"query", cut(run.query)},
                           {"status", nullptr},
                           {"reason", nullptr},
                           {"version", nullptr},
                           {"cold", run.timings.was_cold},
                           {"duration_seconds", seconds(run.timings.total())},
                           {"queue_seconds", seconds(run.timings.queued)},
                           {"cold_seconds", seconds(run.timings.cold)},
                           {"run_seconds", seconds(run.timings.run)}};
  if (run.status != 0) json["status"] = run.status;
  if (!run.reason.empty()) json["reason"] = run.reason;
  if (run.version != 0) json["version"] = run.version;
  return {.name = function,
          .instance = std::string(run.instance),
          .timestamp = now,
          .text = text_of(run),
          .stream = logs::Stream::kInvocation,
          .call_id = std::string(run.call_id),
          .invocation = api::dump(json)};
}

}  // namespace sterna::server
