#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "api/space.h"
#include "callback/allow_list.h"
#include "gateway/management.h"
#include "gateway/management_request.h"

namespace sterna::gateway {
namespace {

api::OrderedJson space_json(const registry::Space& space) {
  return api::to_json(space.spec, space.created_at);
}

// A space as the user wants it.
api::Validated<api::SpaceSpec> read_space(const api::Json& json) {
  auto spec = api::parse_space(json);
  if (!spec) return spec;
  api::FieldErrors errors;
  for (std::size_t i = 0; i < spec->callback_allow.size(); ++i) {
    const auto list = callback::AllowList::parse(std::span(spec->callback_allow).subspan(i, 1));
    if (!list) errors.push_back({"callback_allow[" + std::to_string(i) + "]", list.error().detail});
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return spec;
}

// A field that has changed and is not for those who live in the space: what the server may connect to in its
// own network, and how much of the server the space may use.
std::string_view field_of_server(const api::SpaceSpec& before, const api::SpaceSpec& after) {
  if (after.callback_allow != before.callback_allow) return "callback_allow";
  if (after.rate_limit != before.rate_limit) return "rate_limit";
  if (after.quota != before.quota) return "quota";
  return {};
}

ManagementReply signing_reply(const registry::SigningSecrets& signing) {
  api::OrderedJson previous = nullptr;
  if (!signing.previous.empty()) previous = signing.previous;
  ManagementReply reply = json_reply(200, {{"current", signing.current}, {"previous", std::move(previous)}});
  reply.headers.emplace_back("Cache-Control", "no-store");
  return reply;
}

}  // namespace

Management::Answer Management::list_spaces(const Call& call) {
  const auto page = page_of(call.request);
  if (!page) return std::unexpected(page.error());
  api::OrderedJson data = api::OrderedJson::array();
  if (const std::string& own = call.request.caller->space; !own.empty()) {
    const auto space = registry_.find_space(own);
    if (!space) return problem(space.error());
    if (page->after < own) data.push_back(space_json(*space));
    return json_reply(200, api::page_json(std::move(data), std::nullopt));
  }
  const auto listed = registry_.list_spaces(*page);
  if (!listed) return problem(listed.error());
  for (const registry::Space& space : listed->items) data.push_back(space_json(space));
  return json_reply(200, api::page_json(std::move(data), listed->next_cursor));
}

Management::Answer Management::create_space(const Call& call) {
  const auto body = json_body(call.request);
  if (!body) return std::unexpected(body.error());
  auto spec = read_space(*body);
  if (!spec) return problem(std::move(spec.error()));
  const auto space = registry_.create_space(*spec);
  if (!space) return problem(space.error());
  Answer answer = space_reply(201, *space);
  if (!answer) return answer;
  answer->headers.emplace_back("Location", "/spaces/" + space->spec.name);
  return answer;
}

Management::Answer Management::space_reply(int status, const registry::Space& space) {
  const std::string& name = space.spec.name;
  const auto quota = registry_.quota_of(name);
  if (!quota) return problem(quota.error());
  const auto counts = registry_.count(name);
  if (!counts) return problem(counts.error());
  const auto bundles = registry_.bundles(name);
  if (!bundles) return problem(bundles.error());
  const SpaceLoad load = load_(name);
  const api::Quota used{.functions = counts->functions,
                        .replicas = load.replicas,
                        .memory_mb = load.memory_mb,
                        .backlog = load.backlog,
                        .code_bytes = bytes_of(*bundles),
                        .secrets = counts->secrets,
                        .apps = counts->apps};
  api::OrderedJson usage = api::OrderedJson::object();
  for (const api::QuotaField& field : api::kQuotaFields) {
    const std::int64_t limit = ((*quota).*field.value).value_or(0);
    usage[std::string(field.name)] = {{"used", *(used.*field.value)}, {"limit", nullptr}};
    if (limit > 0) usage[std::string(field.name)]["limit"] = limit;
  }
  api::OrderedJson json = space_json(space);
  json["usage"] = std::move(usage);
  return json_reply(status, json);
}

std::int64_t Management::bytes_of(const std::vector<std::string>& hashes) {
  std::int64_t bytes = 0;
  for (const std::string& hash : hashes) bytes += bundles_.bytes_of(hash);
  return bytes;
}

Status Management::check_code_bytes(std::string_view space, const std::string& hash) {
  const auto quota = registry_.quota_of(space);
  if (!quota) return std::unexpected(quota.error());
  const std::int64_t limit = quota->code_bytes.value_or(0);
  if (limit == 0) return {};
  const auto hashes = registry_.bundles(space);
  if (!hashes) return std::unexpected(hashes.error());
  if (std::ranges::find(*hashes, hash) != hashes->end()) return {};
  const std::int64_t used = bytes_of(*hashes);
  const std::int64_t more = bundles_.bytes_of(hash);
  if (used + more <= limit) return {};
  return registry::quota_exceeded(
      "code_bytes", limit,
      fmt::format("its versions have {} bytes of code, to which {} would come", used, more));
}

Management::Answer Management::get_space(const Call& call) {
  const auto space = registry_.find_space(call.route.space);
  if (!space) return problem(space.error());
  return space_reply(200, *space);
}

Management::Answer Management::patch_space(const Call& call) {
  const auto patch = json_body(call.request, "application/merge-patch+json");
  if (!patch) return std::unexpected(patch.error());
  const std::scoped_lock lock(writes_);
  const auto before = registry_.find_space(call.route.space);
  if (!before) return problem(before.error());
  api::Json merged = api::to_json(before->spec);
  merged.merge_patch(*patch);
  auto spec = read_space(merged);
  if (!spec) return problem(std::move(spec.error()));
  if (spec->name != before->spec.name) return problem(api::FieldErrors{{"name", "cannot be changed"}});
  if (const std::string_view field = field_of_server(before->spec, *spec); !field.empty()) {
    if (const Status may = auth::check(*call.request.caller, {.whole_server = true}); !may)
      return problem(Error{may.error().code, may.error().component, may.error().reason,
                           std::string(field) + ": " + may.error().detail});
  }
  const auto space = registry_.update_space(*spec);
  if (!space) return problem(space.error());
  return space_reply(200, *space);
}

Management::Answer Management::delete_space(const Call& call) {
  const auto force = force_of(call.request);
  if (!force) return std::unexpected(force.error());
  const std::scoped_lock lock(writes_);
  const auto orphans = registry_.delete_space(call.route.space, *force);
  if (!orphans) return problem(orphans.error());
  drop(*orphans);
  return ManagementReply{204, {}, ""};
}

Management::Answer Management::get_signing_secret(const Call& call) {
  const auto space = registry_.find_space(call.route.space);
  if (!space) return problem(space.error());
  return signing_reply(space->signing);
}

Management::Answer Management::rotate_signing_secret(const Call& call) {
  const auto space = registry_.rotate_signing_secret(call.route.space);
  if (!space) return problem(space.error());
  return signing_reply(space->signing);
}

}  // namespace sterna::gateway
