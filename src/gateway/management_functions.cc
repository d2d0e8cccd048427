#include <algorithm>
#include <iterator>

#include "base/log.h"
#include "bundle/source.h"
#include "gateway/management.h"
#include "gateway/management_request.h"
#include "gateway/management_write.h"

namespace sterna::gateway {
namespace {

struct Wanted {
  api::FunctionSpec spec;
  std::optional<bundle::Files> files;  // nullopt: no `source` was sent
};

// Spec and source together, so that the caller learns everything that is wrong at once.
std::expected<Wanted, api::Problem> parse_function(const api::Json& json, const api::SpecRules& rules,
                                                   std::uint64_t max_code_bytes) {
  api::Validated<api::FunctionSpec> spec = api::parse_spec(json, rules);
  api::FieldErrors errors = spec ? api::FieldErrors() : std::move(spec.error());
  std::optional<bundle::Files> files;
  if (json.is_object() && json.contains("source") && !json["source"].is_null()) {
    // Which file is the handler, only a template that is known says.
    auto source = bundle::parse_source(json["source"], "source", spec ? &*spec : nullptr, max_code_bytes);
    if (source) {
      files = std::move(*source);
    } else if (source.error().errors.empty()) {  // it is too large
      return std::unexpected(std::move(source.error()));
    } else {
      std::ranges::move(source.error().errors, std::back_inserter(errors));
    }
  }
  if (!errors.empty()) return problem(std::move(errors));
  return Wanted{std::move(*spec), std::move(files)};
}

std::string location_of(const registry::Function& function) {
  return "/spaces/" + function.space + "/functions/" + function.name;
}

}  // namespace

api::OrderedJson Management::function_json(const registry::Function& function) const {
  const registry::Version& newest = function.newest;
  std::optional<bool> handler_async = newest.handler_async;
  if (!handler_async && function.active) handler_async = function.active->handler_async;
  const FunctionMetrics metrics = metrics_(function.id);
  api::OrderedJson json = {{"id", function.id}, {"space", function.space}};
  json.update(api::to_json(newest.spec, handler_async));
  json["status"] = to_string(function.status);
  json["status_reason"] = function.status_reason;
  json["version"] = newest.number;
  json["active_version"] = nullptr;
  if (function.active) json["active_version"] = function.active->number;
  json["traffic"] = traffic_json(function);
  json["runtime"] = function.active ? function.active->runtime : "";
  json["metrics"] = {{"invocations", metrics.invocations},
                     {"replicas", metrics.replicas},
                     {"available_replicas", metrics.available_replicas}};
  json["created_at"] = format_rfc3339(function.created_at);
  json["updated_at"] = format_rfc3339(function.updated_at);
  return json;
}

ManagementReply Management::function_reply(int status, const registry::Function& function) const {
  return json_reply(status, function_json(function));
}

// What stays behind here is swept at the next start.
void Management::drop(const registry::Orphans& orphans) {
  kept_code_.insert(orphans.begin(), orphans.end());
  // Before it is asked: who ends after the answer finds that there is something to remove.
  keeps_code_ = !kept_code_.empty();
  if (kept_code_.empty()) return;
  const auto in_use = code_in_use_();
  const auto unused = registry_.unused_bundles({kept_code_.begin(), kept_code_.end()});
  if (!in_use || !unused) return;
  kept_code_.clear();
  for (const std::string& hash : *unused) {
    // A folder is named after the code, or lies in one that is.
    if (std::ranges::any_of(*in_use, [&](const std::string& folder) { return folder.contains(hash); })) {
      kept_code_.insert(hash);
    } else if (const Status removed = bundles_.remove(hash); !removed) {
      log::warn("unused bundle stays",
                {{"bundle", std::string_view(hash)}, {"detail", std::string_view(removed.error().detail)}});
    }
  }
  keeps_code_ = !kept_code_.empty();
}

void Management::remove_kept_code() {
  const std::scoped_lock lock(writes_);
  drop({});
}

// Those of `names` that there are: what a caller who is bound to functions may know.
Result<registry::Listed<registry::Function>> Management::list_of(std::string_view space,
                                                                 const std::vector<std::string>& names,
                                                                 const api::Page& page) {
  if (const auto known = registry_.find_space(space); !known) return std::unexpected(known.error());
  registry::Listed<registry::Function> listed;
  for (auto name = std::ranges::upper_bound(names, page.after); name != names.end(); ++name) {
    auto function = registry_.find(space, *name);
    if (!function && function.error().code == Code::kNotFound) continue;
    if (!function) return std::unexpected(function.error());
    if (listed.items.size() == page.limit) {
      listed.next_cursor = api::make_cursor(listed.items.back().name);
      break;
    }
    listed.items.push_back(std::move(*function));
  }
  return listed;
}

Management::Answer Management::list_functions(const Call& call) {
  const auto page = page_of(call.request);
  if (!page) return std::unexpected(page.error());
  const std::vector<std::string>& bound = call.request.caller->functions;
  const auto listed =
      bound.empty() ? registry_.list(call.route.space, *page) : list_of(call.route.space, bound, *page);
  if (!listed) return problem(listed.error());
  api::OrderedJson data = api::OrderedJson::array();
  for (const registry::Function& function : listed->items) data.push_back(function_json(function));
  return json_reply(200, api::page_json(std::move(data), listed->next_cursor));
}

Management::Answer Management::create_function(const Call& call) {
  if (const auto space = registry_.find_space(call.route.space); !space) return problem(space.error());
  const auto body = json_body(call.request);
  if (!body) return std::unexpected(body.error());
  auto wanted = parse_function(*body, rules_, max_code_bytes_);
  if (!wanted) return std::unexpected(std::move(wanted.error()));
  if (const Status may = auth::check(*call.request.caller, {.function = wanted->spec.name}); !may)
    return problem(may.error());
  const std::scoped_lock lock(writes_);
  if (auto known = check_secrets(call.route.space, wanted->spec); !known)
    return std::unexpected(std::move(known.error()));
  const auto function =
      store_and_commit(call.route.space, wanted->files, [&](const std::optional<std::string>& hash) {
        return registry_.create(call.route.space, wanted->spec, hash.value_or(""));
      });
  if (!function) return problem(function.error());
  ManagementReply reply = function_reply(201, *function);
  reply.headers.emplace_back("Location", location_of(*function));
  return reply;
}

Management::Answer Management::get_function(const Call& call) {
  const auto function = registry_.find(call.route.space, call.route.function);
  if (!function) return problem(function.error());
  return function_reply(200, *function);
}

// Expects writes_ to be held.
Management::Answer Management::save(const Call& call, const api::FunctionSpec& spec,
                                    const std::optional<bundle::Files>& files) {
  const auto percent = traffic_percent_of(call.request);
  if (!percent) return std::unexpected(percent.error());
  if (auto known = check_secrets(call.route.space, spec); !known)
    return std::unexpected(std::move(known.error()));
  const auto saved = store_and_commit(call.route.space, files, [&](const std::optional<std::string>& hash) {
    return registry_.update(call.route.space, call.route.function, spec, hash, *percent);
  });
  if (!saved) return problem(saved.error());
  drop(saved->orphans);
  return function_reply(200, saved->function);
}

Management::Answer Management::put_function(const Call& call) {
  if (const auto found = registry_.find(call.route.space, call.route.function); !found)
    return problem(found.error());
  auto body = json_body(call.request);
  if (!body) return std::unexpected(body.error());
  if (body->is_object() && !body->contains("name")) (*body)["name"] = call.route.function;
  auto wanted = parse_function(*body, rules_, max_code_bytes_);
  if (!wanted) return std::unexpected(std::move(wanted.error()));
  if (wanted->spec.name != call.route.function)
    return problem(api::FieldErrors{{"name", "cannot be changed"}});
  const std::scoped_lock lock(writes_);
  return save(call, wanted->spec, wanted->files);
}

Management::Answer Management::patch_function(const Call& call) {
  const auto patch = json_body(call.request, "application/merge-patch+json");
  if (!patch) return std::unexpected(patch.error());
  const std::scoped_lock lock(writes_);
  const auto before = registry_.find(call.route.space, call.route.function);
  if (!before) return problem(before.error());
  api::Json merged = api::to_json(before->newest.spec);
  merged.merge_patch(*patch);
  api::SpecRules rules = rules_;
  // It may have been made when the server took more: then it may stay so, though the server takes no more.
  rules.max_body_bytes = std::max(rules.max_body_bytes, before->newest.spec.limits.max_body_bytes);
  auto wanted = parse_function(merged, rules, max_code_bytes_);
  if (!wanted) return std::unexpected(std::move(wanted.error()));
  if (wanted->spec.name != call.route.function)
    return problem(api::FieldErrors{{"name", "cannot be changed"}});
  const bool is_same = !wanted->files && api::to_json(wanted->spec) == api::to_json(before->newest.spec);
  // Of a failed version another try may be wanted, and a share of the calls is asked for with a new one.
  if (is_same && before->newest.state != registry::VersionState::kFailed &&
      !query_of(call.request, "traffic_percent"))
    return function_reply(200, *before);
  return save(call, wanted->spec, wanted->files);
}

Management::Answer Management::delete_function(const Call& call) {
  const std::scoped_lock lock(writes_);
  const auto orphans = registry_.remove(call.route.space, call.route.function);
  if (!orphans) return problem(orphans.error());
  drop(*orphans);
  return ManagementReply{204, {}, ""};
}

Management::Answer Management::stop_function(const Call& call) {
  const auto function = registry_.stop(call.route.space, call.route.function);
  if (!function) return problem(function.error());
  return function_reply(200, *function);
}

Management::Answer Management::start_function(const Call& call) {
  const auto function = registry_.start(call.route.space, call.route.function);
  if (!function) return problem(function.error());
  return function_reply(200, *function);
}

}  // namespace sterna::gateway
