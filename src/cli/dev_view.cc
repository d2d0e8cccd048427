#include "cli/dev_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <ctime>

#include "base/printable.h"
#include "cli/commands.h"
#include "cli/deployment.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;
using api::OrderedJson;

// Of the developer's own day.
std::string local_time(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  return fmt::format("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string now_text() {
  return local_time(SystemClock().wall());
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

double number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

std::string format_run(const Json& run, const Painter& paint) {
  constexpr double kMillisecondsPerSecond = 1000;
  std::string target = text_of(run, "path");
  if (const std::string query = text_of(run, "query"); !query.empty()) target += "?" + query;
  const double status = number(run, "status");
  const std::string reason = text_of(run, "reason");
  const Colour colour = status >= 200 && status < 400 ? Colour::kGreen : Colour::kRed;
  std::string outcome = status == 0 ? "" : fmt::format("{:.0f}", status);
  if (!reason.empty()) outcome += (outcome.empty() ? "" : " ") + reason;
  std::string line =
      fmt::format("{} {} {} {:.1f} ms", paint(Colour::kBold, text_of(run, "method")), printable(target),
                  paint(colour, outcome), kMillisecondsPerSecond * number(run, "duration_seconds"));
  if (const double cold = number(run, "cold_seconds"); cold > 0)
    line += paint(Colour::kBlue, fmt::format(" cold {:.1f} ms", kMillisecondsPerSecond * cold));
  return line;
}

}  // namespace

std::string format_dev_record(const Json& record, const Painter& paint) {
  const auto at = parse_rfc3339(text_of(record, "timestamp"));
  const std::string time = paint(Colour::kDim, at ? local_time(*at) : now_text());
  const auto run = record.find("invocation");
  if (run != record.end() && run->is_object()) return fmt::format("{} {}", time, format_run(*run, paint));
  const std::string stream = text_of(record, "stream");
  const std::string text = printable(text_of(record, "text"));
  const Colour bar = stream == "stdout" ? Colour::kDim : stream == "stderr" ? Colour::kYellow : Colour::kRed;
  return fmt::format("{} {} {}", time, paint(bar, "|"), text);
}

void DevView::event(const OrderedJson& json, std::string_view text) {
  const std::scoped_lock lock(mutex_);
  print(output_ == Output::kJson ? api::dump(json) : std::string(text));
  print("\n");
  std::fflush(stdout);
}

void DevView::serving(std::string_view name, std::string_view server, std::string_view url) {
  event({{"event", "serving"}, {"name", name}, {"server", server}, {"url", url}},
        fmt::format("{} is served at {}\nReloads when a file is saved; Ctrl-C ends. Other commands: --url {}",
                    paint_(Colour::kBold, name), paint_(Colour::kBlue, url), server));
}

void DevView::changed(const std::set<std::string>& paths) {
  constexpr std::size_t kShown = 5;
  std::vector<std::string> shown;
  for (const std::string& path : paths) {
    if (shown.size() < kShown) shown.push_back(path == "." ? "a lot" : printable(path));
  }
  std::string text = fmt::format("{} {} changed", paint_(Colour::kDim, now_text()), fmt::join(shown, ", "));
  if (paths.size() > kShown) text += fmt::format(", and {} more", paths.size() - kShown);
  event({{"event", "changed"}, {"paths", paths}}, text);
}

void DevView::deployed(const Json& function, Duration took) {
  event({{"event", "deployed"},
         {"version", function.value("version", 0)},
         {"status", cell(function, "status")},
         {"seconds", seconds(took)}},
        fmt::format("{} version {} {} after {:.2f} s", paint_(Colour::kDim, now_text()),
                    cell(function, "version"), paint_(Colour::kGreen, cell(function, "status")),
                    seconds(took)));
}

void DevView::failed(const Json& function, Duration took) {
  const bool other_runs = cell(function, "status") == "Running";
  const std::string active = cell(function, "active_version");
  std::string text = fmt::format("{} version {} {} after {:.2f} s: {}", paint_(Colour::kDim, now_text()),
                                 cell(function, "version"), paint_(Colour::kRed, "failed"), seconds(took),
                                 printable(failure_of(function)));
  if (other_runs) text += fmt::format("\n         version {} goes on answering", active);
  event({{"event", "failed"},
         {"version", function.value("version", 0)},
         {"reason", failure_of(function)},
         {"active_version", other_runs ? OrderedJson(function["active_version"]) : OrderedJson(nullptr)},
         {"seconds", seconds(took)}},
        text);
}

void DevView::trouble(const Error& error) {
  event({{"event", "error"}, {"reason", error.reason}, {"detail", error.detail}},
        fmt::format("{} {} {}", paint_(Colour::kDim, now_text()), paint_(Colour::kRed, "error"),
                    printable(error.detail)));
}

void DevView::record(std::string_view line) {
  const auto record = api::parse_json(line);
  if (!record || !record->is_object()) return;
  event({{"event", record->contains("invocation") ? "invocation" : "log"}, {"record", *record}},
        format_dev_record(*record, paint_));
}

void DevView::build(std::string_view line) {
  const auto record = api::parse_json(line);
  if (!record || !record->is_object()) return;
  event({{"event", "build"}, {"record", *record}},
        fmt::format("{} {} {}", paint_(Colour::kDim, now_text()), paint_(Colour::kBlue, "|"),
                    build_line_text(line)));
}

}  // namespace sterna::cli
