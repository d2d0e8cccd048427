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
  return json;
}

// What changes something, or shows a secret. Reading would drown it.
bool is_kept(const ManagementRequest& request, const std::optional<ManagementRoute>& route) {
  if (request.method != "GET" && request.method != "HEAD") return true;
  return route && route->resource == Resource::kSigningSecret;
}

}  // namespace

// The path is kept without its query, and nothing of the body: no secret stands in a path.
void Management::record(const ManagementRequest& request, int status, std::string reason) {
  const std::optional<ManagementRoute> route = parse_management_route(request.path);
  if (!is_kept(request, route)) return;
  const bool known = request.caller != nullptr;
  // Each space has room of its own: names that no space has must not make more of it.
  const bool of_space = route && !route->space.empty() && registry_.find_space(route->space).has_value();
  const Status kept = audit_.record({.id = {},
                                     .at = {},
                                     .space = of_space ? route->space : "",
                                     .app = known ? request.caller->app : "",
                                     .app_name = known ? request.caller->app_name : "",
                                     .address = request.address,
                                     .method = request.method,
                                     .path = request.path,
                                     .status = status,
                                     .reason = std::move(reason)});
  if (!kept) {
    log::error("cannot write the audit log", {{"method", std::string_view(request.method)},
                                              {"path", std::string_view(request.path)},
                                              {"error", std::string_view(kept.error().detail)}});
  }
}

void Management::refused(const ManagementRequest& request, int status, const std::string& reason) {
  record(request, status, reason);
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
