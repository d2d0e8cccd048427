#include <algorithm>

#include "api/secret.h"
#include "api/variable_name.h"
#include "gateway/management.h"
#include "gateway/management_request.h"

namespace sterna::gateway {
namespace {

constexpr std::string_view kBytesType = "application/octet-stream";

// Of the functions that use it, the caller learns those that he may know of.
api::OrderedJson secret_json(const registry::Secret& secret, const auth::Grant& caller) {
  api::OrderedJson used_by = api::OrderedJson::array();
  for (const std::string& function : secret.used_by) {
    if (used_by.size() == registry::kMaxListedUsers) break;
    if (caller.reaches_function(function)) used_by.push_back(function);
  }
  return {{"name", secret.name},
          {"created_at", format_rfc3339(secret.created_at)},
          {"updated_at", format_rfc3339(secret.updated_at)},
          {"used_by", std::move(used_by)}};
}

// Another value, or none, would change functions that the caller does not reach.
std::expected<void, api::Problem> check_users(const registry::Secret& secret, const auth::Grant& caller) {
  if (std::ranges::all_of(secret.used_by, [&](const std::string& f) { return caller.reaches_function(f); }))
    return {};
  return problem(
      Error{Code::kDenied, Component::kAuth, "function_not_granted",
            "other functions of the space use this secret, and the token's app is bound to some; use "
            "an app that is bound to none, or a secret of another name"});
}

// Raw bytes, or JSON. The parser's own message would show part of what was sent.
std::expected<std::string, api::Problem> value_of(const ManagementRequest& request) {
  if (content_type(request) == kBytesType) {
    if (std::string wrong = api::secret_value_problem(request.body); !wrong.empty())
      return problem(api::FieldErrors{{"value", std::move(wrong)}});
    return request.body;
  }
  if (const std::string type = content_type(request); !type.empty() && type != kJsonType)
    return unsupported_media_type("application/json or application/octet-stream");
  auto json = json_body(request);
  if (!json && json.error().reason == "bad_json") {
    json.error().detail =
        "the body is no JSON document; send {\"value\": \"...\"}, or bytes as " + std::string(kBytesType);
  }
  if (!json) return std::unexpected(std::move(json.error()));
  auto value = api::parse_secret(*json);
  if (!value) return problem(std::move(value.error()));
  return std::move(*value);
}

}  // namespace

std::expected<void, api::Problem> Management::check_secrets(std::string_view space,
                                                            const api::FunctionSpec& spec) {
  const auto missing = registry_.missing_secrets(space, spec.secrets);
  if (!missing) return problem(missing.error());
  api::FieldErrors errors;
  for (const std::size_t index : *missing) {
    errors.push_back({"secrets[" + std::to_string(index) + "]",
                      "there is no secret " + spec.secrets[index] + " in this space; set it first"});
  }
  if (!errors.empty()) return problem(std::move(errors));
  return {};
}

Management::Answer Management::list_secrets(const Call& call) {
  const auto page = page_of(call.request);
  if (!page) return std::unexpected(page.error());
  const auto listed = registry_.list_secrets(call.route.space, *page);
  if (!listed) return problem(listed.error());
  api::OrderedJson data = api::OrderedJson::array();
  for (const registry::Secret& secret : listed->items)
    data.push_back(secret_json(secret, *call.request.caller));
  return json_reply(200, api::page_json(std::move(data), listed->next_cursor));
}

Management::Answer Management::get_secret(const Call& call) {
  const auto secret = registry_.find_secret(call.route.space, call.route.secret);
  if (!secret) return problem(secret.error());
  return json_reply(200, secret_json(*secret, *call.request.caller));
}

Management::Answer Management::put_secret(const Call& call) {
  if (const auto wrong = api::variable_name_problem(call.route.secret); !wrong.empty())
    return problem(api::FieldErrors{{"name", std::string(wrong)}});
  const auto value = value_of(call.request);
  if (!value) return std::unexpected(value.error());
  const std::scoped_lock lock(writes_);
  const auto before = registry_.find_secret(call.route.space, call.route.secret);
  if (!before && before.error().code != Code::kNotFound) return problem(before.error());
  const auth::Scope scope = before ? auth::Scope::kSecretUpdate : auth::Scope::kSecretCreate;
  if (const Status may = auth::check(*call.request.caller, {.any_of = scope}); !may)
    return problem(may.error());
  if (before) {
    if (auto own = check_users(*before, *call.request.caller); !own)
      return std::unexpected(std::move(own.error()));
  }
  const auto saved = registry_.put_secret(call.route.space, call.route.secret, *value);
  if (!saved) return problem(saved.error());
  ManagementReply reply =
      json_reply(saved->is_new ? 201 : 200, secret_json(saved->secret, *call.request.caller));
  if (saved->is_new) {
    reply.headers.emplace_back("Location", "/spaces/" + call.route.space + "/secrets/" + saved->secret.name);
  }
  return reply;
}

Management::Answer Management::delete_secret(const Call& call) {
  const auto force = force_of(call.request);
  if (!force) return std::unexpected(force.error());
  const std::scoped_lock lock(writes_);
  const auto secret = registry_.find_secret(call.route.space, call.route.secret);
  if (!secret) return problem(secret.error());
  if (auto own = check_users(*secret, *call.request.caller); !own)
    return std::unexpected(std::move(own.error()));
  const Status gone = registry_.delete_secret(call.route.space, call.route.secret, *force);
  if (!gone) return problem(gone.error());
  return ManagementReply{204, {}, ""};
}

}  // namespace sterna::gateway
