#include <fmt/format.h>

#include <map>

#include "api/object_reader.h"
#include "bundle/diff.h"
#include "gateway/management.h"
#include "gateway/management_request.h"

namespace sterna::gateway {
namespace {

api::OrderedJson version_json(const registry::Version& version) {
  return {{"version", version.number},
          {"state", to_string(version.state)},
          {"reason", version.reason},
          {"template", version.spec.template_name},
          {"description", version.spec.description},
          {"runtime", version.runtime},
          {"bundle", version.bundle},
          {"created_at", format_rfc3339(version.created_at)}};
}

// Every setting by its full name: "limits.memory_mb". Lists are settings as a whole.
void flatten(const api::OrderedJson& json, const std::string& prefix,
             std::map<std::string, api::OrderedJson>& out) {
  for (const auto& [key, value] : json.items()) {
    const std::string name = prefix.empty() ? key : fmt::format("{}.{}", prefix, key);
    if (value.is_object()) {
      flatten(value, name, out);
    } else {
      out[name] = value;
    }
  }
}

// Settings that differ; one that a version does not have is null there.
api::OrderedJson setting_changes(const api::FunctionSpec& from, const api::FunctionSpec& to) {
  std::map<std::string, api::OrderedJson> before;
  std::map<std::string, api::OrderedJson> after;
  flatten(api::to_json(from), "", before);
  flatten(api::to_json(to), "", after);
  std::map<std::string, std::pair<api::OrderedJson, api::OrderedJson>> both;
  for (auto& [field, value] : before) both[field].first = std::move(value);
  for (auto& [field, value] : after) both[field].second = std::move(value);
  api::OrderedJson changes = api::OrderedJson::array();
  for (auto& [field, values] : both) {
    if (values.first == values.second) continue;
    changes.push_back(
        {{"field", field}, {"from", std::move(values.first)}, {"to", std::move(values.second)}});
  }
  return changes;
}

api::OrderedJson bytes_json(const std::optional<std::size_t>& bytes) {
  return bytes ? api::OrderedJson(*bytes) : api::OrderedJson(nullptr);
}

api::OrderedJson file_changes(const bundle::BundleDiff& diff) {
  api::OrderedJson changes = api::OrderedJson::array();
  for (const bundle::FileChange& change : diff.files) {
    changes.push_back({{"path", change.path},
                       {"change", to_string(change.kind)},
                       {"from_bytes", bytes_json(change.from_bytes)},
                       {"to_bytes", bytes_json(change.to_bytes)},
                       {"diff", change.diff}});
  }
  return changes;
}

}  // namespace

Management::Answer Management::list_versions(const Call& call) {
  const auto page = page_of(call.request);
  if (!page) return std::unexpected(page.error());
  const auto listed = registry_.list_versions(call.route.space, call.route.function, *page);
  if (!listed) return problem(listed.error());
  api::OrderedJson data = api::OrderedJson::array();
  for (const registry::Version& version : listed->items) data.push_back(version_json(version));
  return json_reply(200, api::page_json(std::move(data), listed->next_cursor));
}

Management::Answer Management::roll_back(const Call& call) {
  const auto body = json_body(call.request);
  if (!body) return std::unexpected(body.error());
  api::FieldErrors errors;
  api::ObjectReader reader(*body, "", errors);
  std::int64_t number = 0;
  reader.integer("version", number, 1, INT64_MAX);
  if (errors.empty() && number == 0) reader.error("version", "is required");
  reader.finish();
  if (!errors.empty()) return problem(std::move(errors));
  const std::scoped_lock lock(writes_);
  const auto version = registry_.find_version(call.route.space, call.route.function, number);
  if (!version) return problem(version.error());
  if (auto known = check_secrets(call.route.space, version->spec); !known)
    return std::unexpected(std::move(known.error()));
  const auto saved = registry_.rollback(call.route.space, call.route.function, number);
  if (!saved) return problem(saved.error());
  drop(saved->orphans);
  return function_reply(200, saved->function);
}

Management::Answer Management::get_version(const Call& call) {
  const auto version = registry_.find_version(call.route.space, call.route.function, call.route.version);
  if (!version) return problem(version.error());
  api::OrderedJson json = version_json(*version);
  json["spec"] = api::to_json(version->spec, version->handler_async);
  return json_reply(200, json);
}

Management::Answer Management::diff_versions(const Call& call) {
  const auto from = registry_.find_version(call.route.space, call.route.function, call.route.version);
  if (!from) return problem(from.error());
  const auto to = registry_.find_version(call.route.space, call.route.function, call.route.other_version);
  if (!to) return problem(to.error());
  bundle::BundleDiff diff;
  if (from->bundle != to->bundle) {
    const auto before = files_of(*from);
    if (!before) return problem(before.error());
    const auto after = files_of(*to);
    if (!after) return problem(after.error());
    diff = bundle::compare(*before, *after);
  }
  return json_reply(200, {{"from", from->number},
                          {"to", to->number},
                          {"settings", setting_changes(from->spec, to->spec)},
                          {"files", file_changes(diff)},
                          {"truncated", diff.truncated}});
}

// A version without code has no files.
Result<bundle::Files> Management::files_of(const registry::Version& version) const {
  if (version.bundle.empty()) return bundle::Files();
  return bundles_.load(version.bundle);
}

}  // namespace sterna::gateway
