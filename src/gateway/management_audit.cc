#include "base/log.h"
#include "gateway/management.h"
#include "gateway/management_request.h"

namespace sterna::gateway {
namespace {

api::OrderedJson entry_json(const audit::Entry& entry) {
  api::OrderedJson json = {
      {"id", entry.id}, {"at", format_rfc3339(entry.at)}, {"space", nullptr}, {"app", nullptr}};
  if (!entry.space.empty()) json["space"] = entry.space;
  if (!entry.app.empty()) json["app"] = {{"id", entry.app}, {"name", entry.app_name}};
  json["address"] = entry.address;
  json["method"] = entry.method;
  json["path"] = entry.path;
  json["status"] = entry.status;
  json["reason"] = entry.reason;
  json["left_out"] = entry.left_out;
  return json;
}

// What changes something, or shows a secret. Reading would drown it.
bool is_kept(const ManagementRequest& request, const std::optional<ManagementRoute>& route) {
  if (request.method != "GET" && request.method != "HEAD") return true;
  return route && route->resource == Resource::kSigningSecret;
}

// The path is kept without its query, and nothing of the body: no secret stands in a path.
audit::Entry entry_of(const ManagementRequest& request, int status, std::string reason) {
  const bool known = request.caller != nullptr;
  return {.id = {},
          .at = {},
          .space = known ? request.caller->space : "",
          .app = known ? request.caller->app : "",
          .app_name = known ? request.caller->app_name : "",
          .address = request.address,
          .method = request.method,
          .path = request.path,
          .status = status,
          .reason = std::move(reason)};
}

}  // namespace

void Management::record(const ManagementRequest& request, int status, std::string reason) {
  const std::optional<ManagementRoute> route = parse_management_route(request.path);
  if (!is_kept(request, route)) return;
  audit::Entry entry = entry_of(request, status, std::move(reason));
  if (entry.has_failed() && !audit_.admits(entry)) return;
  keep(std::move(entry), route);
}

// An app of a space fills the log of its own space, whatever it asks for: those of others hold nothing that
// it cannot do there. What is asked by apps of the server belongs to the space that they mean.
void Management::keep(audit::Entry entry, const std::optional<ManagementRoute>& route) {
  if (entry.space.empty() && route) entry.space = route->space;
  // Each space has room of its own: names that no space has must not make more of it.
  if (!entry.space.empty() && !registry_.find_space(entry.space)) entry.space.clear();
  const std::string method = entry.method;
  const std::string path = entry.path;
  if (const Status kept = audit_.record(std::move(entry)); !kept) {
    log::error("cannot write the audit log", {{"method", std::string_view(method)},
                                              {"path", std::string_view(path)},
                                              {"error", std::string_view(kept.error().detail)}});
  }
}

bool Management::admits_refusal(const ManagementRequest& request, int status, const std::string& reason,
                                Room room) {
  if (!is_kept(request, parse_management_route(request.path))) return false;
  const audit::Entry entry = entry_of(request, status, reason);
  if (room == Room::kYes) return audit_.admits(entry);
  audit_.leave_out(entry);
  return false;
}

void Management::refused(const ManagementRequest& request, int status, const std::string& reason) {
  const std::optional<ManagementRoute> route = parse_management_route(request.path);
  if (is_kept(request, route)) keep(entry_of(request, status, reason), route);
}

Management::Answer Management::list_audit(const Call& call) {
  const auto page = page_of(call.request);
  if (!page) return std::unexpected(page.error());
  std::optional<std::string> space;
  WallTime since;
  if (!call.route.space.empty()) {
    const auto found = registry_.find_space(call.route.space);
    if (!found) return problem(found.error());
    space = call.route.space;
    since = found->created_at;
  }
  const auto listed = audit_.list(space, since, *page);
  if (!listed) return problem(listed.error());
  api::OrderedJson data = api::OrderedJson::array();
  for (const audit::Entry& entry : listed->entries) data.push_back(entry_json(entry));
  return json_reply(200, api::page_json(std::move(data), listed->next_cursor));
}

}  // namespace sterna::gateway
