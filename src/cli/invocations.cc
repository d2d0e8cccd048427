// sterna invocations list, get, wait, response, cancel, redrive, redeliver.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/invocation.h"
#include "cli/report.h"

namespace sterna::cli {
namespace {

using api::Json;

// Sends what changes an invocation, and prints what has become of it.
Result<int> change(const Target& target, std::string method, std::string_view name, std::string_view id,
                   std::string_view what) {
  auto path = invocation_path(target, name, id);
  if (!path) return std::unexpected(path.error());
  const bool is_cancel = method == "DELETE";
  Api api(target);
  auto answer = api.send(std::move(method), is_cancel ? *path : fmt::format("{}/{}", *path, what));
  if (answer && !answer->is_object()) answer = Json{{"id", id}};
  return report(target, answer, [&](const Json&) { return fmt::format("{} of {} is accepted\n", what, id); });
}

}  // namespace

Result<int> list_invocations(const Target& target, const InvocationsArgs& args) {
  auto path = function_path(target, args.name);
  if (!path) return std::unexpected(path.error());
  *path += "/invocations";
  if (!args.state.empty()) *path += "?state=" + args.state;
  if (!args.delivery.empty()) *path += (args.state.empty() ? "?delivery=" : "&delivery=") + args.delivery;
  Api api(target);
  return report_list(target, api.list(*path, args.limit),
                     {"ID", "STATE", "REASON", "STATUS", "ATTEMPTS", "DELIVERY", "CREATED"},
                     [](const Json& item) -> Row {
                       return {cell(item, "id"),
                               cell(item, "state"),
                               cell(item, "reason"),
                               cell(item, "status_code"),
                               std::to_string(attempts_of(item)),
                               delivery_of(item),
                               cell(item, "created_at")};
                     });
}

Result<int> get_invocation(const Target& target, std::string_view name, std::string_view id) {
  auto path = invocation_path(target, name, id);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report(target, api.get(*path));
}

Result<int> wait_invocation(const Target& target, std::string_view name, std::string_view id,
                            std::optional<std::chrono::seconds> limit) {
  auto path = invocation_path(target, name, id);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  auto invocation = api.get(*path);  // patience is for a server that was there
  if (invocation && !has_ended(*invocation)) {
    Progress progress(target.json);
    invocation = wait_for_end(api, *path, limit, progress);
  }
  if (!invocation) return std::unexpected(invocation.error());
  if (!has_ended(*invocation)) {
    return fail(Code::kTimeout, Component::kQueue, "wait_timeout",
                fmt::format("{} is still {}", id, cell(*invocation, "state")));
  }
  if (auto printed = report(target, invocation); !printed) return printed;
  return exit_code_of_end(*invocation);
}

Result<int> show_response(const Target& target, std::string_view name, std::string_view id, bool show_head) {
  auto path = invocation_path(target, name, id);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return print_response(api, target, name, *path, show_head);
}

Result<int> cancel_invocation(const Target& target, std::string_view name, std::string_view id) {
  return change(target, "DELETE", name, id, "cancel");
}

Result<int> redrive_invocation(const Target& target, std::string_view name, std::string_view id) {
  return change(target, "POST", name, id, "redrive");
}

Result<int> redeliver_invocation(const Target& target, std::string_view name, std::string_view id) {
  return change(target, "POST", name, id, "redeliver");
}

}  // namespace sterna::cli
