#include "cli/invocation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "base/ulid.h"
#include "cli/answer.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;
using std::chrono::seconds;

constexpr seconds kLongPoll{30};
constexpr std::chrono::milliseconds kBetweenPolls{250};  // at least, whatever the server does
constexpr seconds kPatience{15};                         // with a server that is away, e.g. restarting
constexpr std::size_t kMaxRefusalBytes = 64U << 10;

seconds time_to_ask(MonotonicTime now, MonotonicTime give_up) {
  const auto left = std::chrono::ceil<seconds>(give_up - now);
  return std::clamp(left, seconds(1), kLongPoll);
}

std::string describe_end(const Json& invocation) {
  return fmt::format("invocation {} is {}, attempts {}", cell(invocation, "id"), standing_of(invocation),
                     attempts_of(invocation));
}

void print_end(const Target& target, const Json& invocation) {
  if (target.json) {
    print_to_stderr(fmt::format("{}\n", api::dump(invocation)));
  } else {
    print_to_stderr(fmt::format("sterna: {}\n", describe_end(invocation)));
  }
}

}  // namespace

Result<std::string> invocation_path(const Target& target, std::string_view name, std::string_view id) {
  auto path = function_path(target, name);
  if (!path) return path;
  if (!is_ulid(id)) {
    return bad_usage(
        fmt::format("'{}' cannot be an invocation: its id is 26 characters, as in X-Call-Id", id));
  }
  return fmt::format("{}/invocations/{}", *path, id);
}

bool has_ended(const Json& invocation) {
  const std::string state = cell(invocation, "state");
  return state != "queued" && state != "running";
}

std::string standing_of(const Json& invocation) {
  const std::string state = cell(invocation, "state");
  const std::string reason = cell(invocation, "reason");
  return reason == "-" || reason == state ? state : fmt::format("{} ({})", state, reason);
}

std::size_t attempts_of(const Json& invocation) {
  if (!invocation.is_object()) return 0;
  const auto attempts = invocation.find("attempts");
  return attempts != invocation.end() && attempts->is_array() ? attempts->size() : 0;
}

std::string delivery_of(const Json& invocation) {
  return cell(invocation, "callback.delivery");
}

int exit_code_of_end(const Json& invocation) {
  const std::string state = cell(invocation, "state");
  if (state == "succeeded") return kExitOk;
  return state == "failed" ? kExitFunctionFault : kExitPlatformFault;
}

Result<Json> wait_for_end(Api& api, const std::string& path, std::optional<seconds> limit,
                          Progress& progress) {
  const SystemClock clock;
  const MonotonicTime give_up = limit ? clock.now() + *limit : MonotonicTime::max();
  MonotonicTime last_answer = clock.now();
  while (true) {
    const MonotonicTime begun = clock.now();
    auto invocation = api.poll(path, time_to_ask(begun, give_up));
    const MonotonicTime now = clock.now();
    if (invocation) {
      if (has_ended(*invocation) || now >= give_up) return invocation;
      last_answer = now;
      progress.show(fmt::format("{} is {} ...", cell(*invocation, "id"), cell(*invocation, "state")));
    } else {
      const bool is_away = invocation.error().code == Code::kUnavailable;
      if (!is_away || now >= std::min(give_up, last_answer + kPatience)) return invocation;
      progress.show("waiting for the server ...");
    }
    std::this_thread::sleep_until(begun + kBetweenPolls);
  }
}

Result<int> tell_end(Api& api, const Target& target, std::string_view function, const std::string& path,
                     const Json& invocation) {
  const int end = exit_code_of_end(invocation);
  if (end == kExitPlatformFault) {  // cancelled or expired: no answer is kept
    print_end(target, invocation);
    return end;
  }
  auto told = print_response(api, target, function, path, false);
  if (end == kExitOk) return told;
  if (told && *told != kExitOk) return told;  // the fault is told already
  print_end(target, invocation);
  return end;
}

Result<int> print_response(Api& api, const Target& target, std::string_view function, const std::string& path,
                           bool show_head) {
  HttpReply refusal;
  bool is_refused = false;
  AnswerWriter writer(AnswerKind::kKept, show_head);
  const HttpSinks sinks{
      .on_head =
          [&](const HttpHead& head) {
            is_refused = head.status >= 400 && head.find("x-function-status").empty();
            if (is_refused) {
              refusal.head = head;
            } else {
              writer.take_head(head);
            }
          },
      .on_body =
          [&](std::string_view part) {
            if (!is_refused) return writer.take_body(part);
            refusal.body.append(part);
            return refusal.body.size() <= kMaxRefusalBytes;
          },
  };
  auto done = api.stream(api.request("GET", path + "/response"), sinks);
  if (!done) return std::unexpected(done.error());
  if (is_refused) return std::unexpected(error_of(refusal));
  return writer.finish(target, function);
}

}  // namespace sterna::cli
