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
  ManagementReply reply = json_reply(201, space_json(*space));
  reply.headers.emplace_back("Location", "/spaces/" + space->spec.name);
  return reply;
}

Management::Answer Management::get_space(const Call& call) {
  const auto space = registry_.find_space(call.route.space);
  if (!space) return problem(space.error());
  return json_reply(200, space_json(*space));
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
  // What the server may connect to in its own network is not for those who live in one space.
  if (spec->callback_allow != before->spec.callback_allow) {
    if (const Status may = auth::check(*call.request.caller, {.whole_server = true}); !may)
      return problem(Error{may.error().code, may.error().component, may.error().reason,
                           "callback_allow: " + may.error().detail});
  }
  const auto space = registry_.update_space(*spec);
  if (!space) return problem(space.error());
  return json_reply(200, space_json(*space));
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
