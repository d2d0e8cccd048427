#include "gateway/management.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "gateway/gatekeeper.h"
#include "gateway/management_openapi.h"
#include "gateway/management_request.h"

namespace sterna::gateway {
namespace {

ManagementReply problem_reply(const api::Problem& problem) {
  return {problem.status, {{"Content-Type", std::string(api::kProblemType)}}, api::to_json(problem) + "\n"};
}

// Our own failures are told in the log, with their details; the caller learns that it is not its fault.
ManagementReply failure_reply(api::Problem problem, const ManagementRequest& request) {
  if (problem.status >= 500 && problem.status != 503) {
    log::error("management request fails", {{"method", std::string_view(request.method)},
                                            {"path", std::string_view(request.path)},
                                            {"reason", std::string_view(problem.reason)},
                                            {"detail", std::string_view(problem.detail)}});
    problem.detail = "the server could not do this; its log says why";
  }
  return problem_reply(problem);
}

ManagementReply withdrawn_reply() {
  const Refusal refusal = invalid_token();
  ManagementReply reply = problem_reply(api::to_problem(refusal.error));
  reply.headers.emplace_back("WWW-Authenticate", refusal.challenge);
  return reply;
}

bool carries_code(std::string_view path, std::string_view method) {
  const std::optional<ManagementRoute> route = parse_management_route(path);
  if (!route) return false;
  switch (route->resource) {
    case Resource::kFunctions:
      return method == "POST";
    case Resource::kFunction:
      return method == "PUT" || method == "PATCH";
    case Resource::kCode:
      return method == "PUT";
    default:
      return false;
  }
}

// The word of a problem document; empty when the answer is none.
std::string reason_of(const ManagementReply& reply) {
  constexpr int kFirstProblem = 400;
  if (reply.status < kFirstProblem) return {};
  const auto problem = api::parse_json(reply.body);
  return problem && problem->is_object() ? problem->value("reason", "") : "";
}

}  // namespace

Management::Management(registry::Registry& registry, bundle::BundleStore& bundles, audit::AuditLog& audit,
                       api::SpecRules rules, std::uint64_t max_code_bytes, MetricsSource metrics,
                       SpaceLoadSource load, SandboxSource sandbox)
    : registry_(registry),
      bundles_(bundles),
      audit_(audit),
      rules_(std::move(rules)),
      max_code_bytes_(max_code_bytes),
      metrics_(std::move(metrics)),
      load_(std::move(load)),
      sandbox_(std::move(sandbox)) {}

std::uint64_t Management::max_body_bytes(std::string_view path, std::string_view method) const {
  if (!carries_code(path, method)) return kMaxPlainBodyBytes;
  constexpr std::uint64_t kRest = bundle::kMaxFiles * bundle::kMaxPathBytes + (1U << 20);
  return (max_code_bytes_ + 2) / 3 * 4 + kRest;  // base64 is a third larger
}

Error Management::body_too_large(std::string_view path, std::string_view method) const {
  if (!carries_code(path, method)) {
    return {Code::kInvalid, Component::kGateway, "body_too_large",
            fmt::format("the request body is larger than {} bytes", kMaxPlainBodyBytes)};
  }
  return {Code::kInvalid, Component::kGateway, "body_too_large",
          fmt::format("the request body is larger than {} bytes, in which code of limits.max_code_bytes ({}) "
                      "finds room",
                      max_body_bytes(path, method), max_code_bytes_)};
}

ManagementReply Management::handle(const ManagementRequest& request) {
  ManagementReply reply = answer(request);
  const std::string reason = reason_of(reply);
  if (reason == "quota_exceeded") {
    if (const auto route = parse_management_route(request.path)) over_quota_(route->space);
  }
  record(request, reply.status, reason);
  return reply;
}

ManagementReply Management::answer(const ManagementRequest& request) {
  // It was good when the request came, which has waited since.
  if (request.caller != nullptr && request.caller->is_withdrawn()) return withdrawn_reply();
  std::optional<ManagementRoute> route = parse_management_route(request.path);
  if (!route) {
    return problem_reply(api::to_problem(Error{Code::kNotFound, Component::kGateway, "not_found",
                                               "there is nothing at this path; /openapi.json lists all"}));
  }
  Answer answer = dispatch({request, std::move(*route)});
  return answer ? std::move(*answer) : failure_reply(std::move(answer.error()), request);
}

std::span<const Management::Method> Management::methods() {
  using auth::Scope;
  static constexpr Method kMethods[] = {
      {Resource::kSpaces, "GET", Scope::kSpaceRead, &Management::list_spaces},
      {Resource::kSpaces, "POST", Scope::kSpaceCreate, &Management::create_space},
      {Resource::kSpace, "GET", Scope::kSpaceRead, &Management::get_space},
      {Resource::kSpace, "PATCH", Scope::kSpaceUpdate, &Management::patch_space, Concerns::kAllFunctions},
      {Resource::kSpace, "DELETE", Scope::kSpaceDelete, &Management::delete_space, Concerns::kAllFunctions},
      {Resource::kSigningSecret, "GET", Scope::kSecretRead, &Management::get_signing_secret},
      {Resource::kRotateSecret, "POST", Scope::kSecretUpdate, &Management::rotate_signing_secret,
       Concerns::kAllFunctions},
      {Resource::kSecrets, "GET", Scope::kSecretRead, &Management::list_secrets},
      {Resource::kSecret, "GET", Scope::kSecretRead, &Management::get_secret},
      // Which of them, put_secret knows.
      {Resource::kSecret, "PUT", auth::ScopeSet(Scope::kSecretCreate) | Scope::kSecretUpdate,
       &Management::put_secret},
      {Resource::kSecret, "DELETE", Scope::kSecretDelete, &Management::delete_secret},
      {Resource::kApps, "GET", Scope::kAppRead, &Management::list_apps},
      {Resource::kApps, "POST", Scope::kAppCreate, &Management::create_app},
      {Resource::kApp, "GET", Scope::kAppRead, &Management::get_app},
      {Resource::kApp, "PATCH", Scope::kAppUpdate, &Management::patch_app},
      {Resource::kApp, "DELETE", Scope::kAppDelete, &Management::delete_app},
      {Resource::kRotateApp, "POST", Scope::kAppUpdate, &Management::rotate_app},
      {Resource::kFunctions, "GET", Scope::kFunctionRead, &Management::list_functions},
      {Resource::kFunctions, "POST", Scope::kFunctionCreate, &Management::create_function},
      {Resource::kFunction, "GET", Scope::kFunctionRead, &Management::get_function},
      {Resource::kFunction, "PUT", Scope::kFunctionUpdate, &Management::put_function},
      {Resource::kFunction, "PATCH", Scope::kFunctionUpdate, &Management::patch_function},
      {Resource::kFunction, "DELETE", Scope::kFunctionDelete, &Management::delete_function},
      {Resource::kCode, "GET", Scope::kFunctionRead, &Management::get_code},
      {Resource::kCode, "PUT", Scope::kFunctionUpdate, &Management::put_code},
      {Resource::kVersions, "GET", Scope::kFunctionRead, &Management::list_versions},
      {Resource::kVersion, "GET", Scope::kFunctionRead, &Management::get_version},
      {Resource::kVersionDiff, "GET", Scope::kFunctionRead, &Management::diff_versions},
      {Resource::kRollback, "POST", Scope::kFunctionUpdate, &Management::roll_back},
      {Resource::kTraffic, "GET", Scope::kFunctionRead, &Management::get_traffic},
      {Resource::kTraffic, "PUT", Scope::kFunctionUpdate, &Management::put_traffic},
      {Resource::kSandbox, "GET", Scope::kFunctionRead, &Management::get_sandbox},
      {Resource::kStop, "POST", Scope::kFunctionUpdate, &Management::stop_function},
      {Resource::kStart, "POST", Scope::kFunctionUpdate, &Management::start_function},
      {Resource::kAudit, "GET", Scope::kAppRead, &Management::list_audit, Concerns::kAllFunctions},
      {Resource::kOpenApi, "GET", {}, &Management::open_api},
  };
  return kMethods;
}

Management::Access Management::access_of(std::string_view path, std::string_view method) {
  Access access;
  const std::optional<ManagementRoute> route = parse_management_route(path);
  if (!route) return access;
  access.space = route->space;
  access.function = route->function;
  if (method == "HEAD") method = "GET";
  for (const Method& entry : methods()) {
    if (entry.resource != route->resource || entry.method != method) continue;
    access.any_of = entry.any_of;
    access.open = entry.any_of.empty();
    access.all_functions = entry.concerns == Concerns::kAllFunctions;
    const bool of_server = route->space.empty() &&
                           (route->resource != Resource::kSpaces || method != "GET");  // GET: its own space
    access.whole_server = of_server && !access.open;
  }
  return access;
}

Management::Answer Management::dispatch(const Call& call) {
  const std::string_view method =
      call.request.method == "HEAD" ? "GET" : std::string_view(call.request.method);
  std::string allow;
  for (const Method& entry : methods()) {
    if (entry.resource != call.route.resource) continue;
    if (entry.method == method) {
      STERNA_ASSERT(call.request.caller != nullptr || entry.any_of.empty());
      return (this->*entry.handler)(call);
    }
    allow += allow.empty() ? "" : ", ";
    allow += entry.method == "GET" ? "GET, HEAD" : entry.method;
  }
  ManagementReply reply = problem_reply(api::to_problem(
      Error{Code::kInvalid, Component::kGateway, "method_not_allowed", "this path takes " + allow}));
  reply.headers.emplace_back("Allow", std::move(allow));
  return reply;
}

Management::Answer Management::open_api(const Call& /*call*/) {
  return ManagementReply{200, {{"Content-Type", std::string(kJsonType)}}, {}, kOpenApi};
}

}  // namespace sterna::gateway
