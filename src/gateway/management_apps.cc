#include <algorithm>

#include "gateway/management.h"
#include "gateway/management_request.h"

namespace sterna::gateway {
namespace {

api::OrderedJson app_json(const registry::App& app) {
  api::OrderedJson json = {{"id", app.id}, {"client_id", app.id}, {"space", nullptr}};
  if (!app.space.empty()) json["space"] = app.space;
  json.update(api::to_json(app.spec));
  json["created_at"] = format_rfc3339(app.created_at);
  json["updated_at"] = format_rfc3339(app.updated_at);
  return json;
}

// The only answer that holds the secret.
ManagementReply with_secret(int status, const registry::App& app, const std::string& secret) {
  api::OrderedJson json = app_json(app);
  json["client_secret"] = secret;
  ManagementReply reply = json_reply(status, json);
  reply.headers.emplace_back("Cache-Control", "no-store");
  return reply;
}

std::string location_of(const registry::App& app) {
  return (app.space.empty() ? "" : "/spaces/" + app.space) + "/apps/" + app.id;
}

// An app as the user wants it.
api::Validated<api::AppSpec> read_app(const api::Json& json) {
  auto spec = api::parse_app(json);
  if (!spec) return spec;
  api::FieldErrors errors;
  for (std::size_t i = 0; i < spec->scopes.size(); ++i) {
    if (auth::scope_named(spec->scopes[i]).empty()) {
      errors.push_back({"scopes[" + std::to_string(i) + "]", "must be one of " + auth::list_of_scopes()});
    }
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return spec;
}

// Nobody gives away, or takes over by its secret, more than what his own token may do.
std::expected<void, api::Problem> check_within(const auth::Grant& caller, const registry::App& app,
                                               const RateLimit& default_rate) {
  auth::Grant wanted = grant_of(app);
  wanted.rate_limit = with_defaults(wanted.rate_limit, default_rate);
  if (caller.contains(wanted)) return {};
  std::string detail = "the app may do more than your token: ";
  const auth::ScopeSet lacking = wanted.scopes.without(caller.scopes);
  if (!lacking.empty()) {
    detail += "it has the scope " + lacking.text();
  } else if (!caller.functions.empty()) {
    detail += "your app is bound to functions, so bind this one to some of them";
  } else if (caller.expires_at) {
    detail += "your app expires, so this one must not last longer";
  } else {
    detail += "its rate_limit is higher than that of yours; an app of the server can raise it";
  }
  return problem(Error{Code::kDenied, Component::kAuth, "beyond_own_grant", std::move(detail)});
}

// Whether who is bound to functions may know of the app: it is bound to some of those. Others see all.
bool may_see(const auth::Grant& caller, const registry::App& app) {
  return caller.reaches_all_functions() ||
         (!app.spec.functions.empty() &&
          std::ranges::all_of(app.spec.functions,
                              [&](const std::string& name) { return caller.reaches_function(name); }));
}

std::expected<void, api::Problem> check_seen(const auth::Grant& caller, const registry::App& app) {
  if (may_see(caller, app)) return {};
  return problem(
      Error{Code::kDenied, Component::kAuth, "beyond_own_grant",
            "the app reaches functions that yours is not bound to; use an app that is bound to none"});
}

}  // namespace

Management::Answer Management::list_apps(const Call& call) {
  const auto page = page_of(call.request);
  if (!page) return std::unexpected(page.error());
  const auto listed = registry_.list_apps(call.route.space, *page);
  if (!listed) return problem(listed.error());
  api::OrderedJson data = api::OrderedJson::array();
  for (const registry::App& app : listed->items) {
    if (may_see(*call.request.caller, app)) data.push_back(app_json(app));
  }
  return json_reply(200, api::page_json(std::move(data), listed->next_cursor));
}

Management::Answer Management::create_app(const Call& call) {
  const auto body = json_body(call.request);
  if (!body) return std::unexpected(body.error());
  auto spec = read_app(*body);
  if (!spec) return problem(std::move(spec.error()));
  const registry::App wanted{
      .id = {}, .space = call.route.space, .spec = *spec, .secret = {}, .created_at = {}, .updated_at = {}};
  if (auto within = check_within(*call.request.caller, wanted, rules_.app_rate_limit); !within)
    return std::unexpected(within.error());
  const std::string secret = auth::new_client_secret();
  const auto app = registry_.create_app(call.route.space, *spec, auth::Hasher().hash(secret));
  if (!app) return problem(app.error());
  ManagementReply reply = with_secret(201, *app, secret);
  reply.headers.emplace_back("Location", location_of(*app));
  return reply;
}

Management::Answer Management::get_app(const Call& call) {
  const auto app = registry_.find_app(call.route.space, call.route.app);
  if (!app) return problem(app.error());
  if (auto seen = check_seen(*call.request.caller, *app); !seen) return std::unexpected(seen.error());
  return json_reply(200, app_json(*app));
}

Management::Answer Management::patch_app(const Call& call) {
  const auto patch = json_body(call.request, "application/merge-patch+json");
  if (!patch) return std::unexpected(patch.error());
  const std::scoped_lock lock(writes_);
  const auto before = registry_.find_app(call.route.space, call.route.app);
  if (!before) return problem(before.error());
  api::Json merged = api::to_json(before->spec);
  merged.merge_patch(*patch);
  auto spec = read_app(merged);
  if (!spec) return problem(std::move(spec.error()));
  registry::App after = *before;
  after.spec = *spec;
  for (const registry::App* app : {&*before, static_cast<const registry::App*>(&after)}) {
    if (auto within = check_within(*call.request.caller, *app, rules_.app_rate_limit); !within)
      return std::unexpected(within.error());
  }
  const auto app = registry_.update_app(call.route.space, before->id, *spec);
  if (!app) return problem(app.error());
  return json_reply(200, app_json(*app));
}

Management::Answer Management::delete_app(const Call& call) {
  const std::scoped_lock lock(writes_);
  const auto app = registry_.find_app(call.route.space, call.route.app);
  if (!app) return problem(app.error());
  if (auto seen = check_seen(*call.request.caller, *app); !seen) return std::unexpected(seen.error());
  const Status gone = registry_.delete_app(call.route.space, app->id);
  if (!gone) return problem(gone.error());
  return ManagementReply{204, {}, ""};
}

Management::Answer Management::rotate_app(const Call& call) {
  const std::scoped_lock lock(writes_);
  const auto before = registry_.find_app(call.route.space, call.route.app);
  if (!before) return problem(before.error());
  if (auto within = check_within(*call.request.caller, *before, rules_.app_rate_limit); !within)
    return std::unexpected(within.error());
  const std::string secret = auth::new_client_secret();
  const auto app = registry_.rotate_app(call.route.space, before->id, auth::Hasher().hash(secret));
  if (!app) return problem(app.error());
  return with_secret(200, *app, secret);
}

}  // namespace sterna::gateway
