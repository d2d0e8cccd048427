#include "gateway/management.h"

#include <algorithm>

#include "base/log.h"
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

}  // namespace

Management::Management(registry::Registry& registry, bundle::BundleStore& bundles, api::SpecRules rules,
                       MetricsSource metrics)
    : registry_(registry), bundles_(bundles), rules_(std::move(rules)), metrics_(std::move(metrics)) {}

ManagementReply Management::handle(const ManagementRequest& request) {
  std::optional<ManagementRoute> route = parse_management_route(request.path);
  if (!route) {
    return problem_reply(api::to_problem(Error{Code::kNotFound, Component::kGateway, "not_found",
                                               "there is nothing at this path; /openapi.json lists all"}));
  }
  if (request.body.size() > kMaxManagementBodyBytes) {
    return problem_reply(api::to_problem(
        Error{Code::kInvalid, Component::kGateway, "body_too_large", "the body is larger than 64 MiB"}));
  }
  Answer answer = dispatch({request, std::move(*route)});
  return answer ? std::move(*answer) : failure_reply(std::move(answer.error()), request);
}

Management::Answer Management::dispatch(const Call& call) {
  struct Method {
    Resource resource;
    std::string_view method;
    Answer (Management::*handler)(const Call&);
  };
  static constexpr Method kMethods[] = {
      {Resource::kSpaces, "GET", &Management::list_spaces},
      {Resource::kSpaces, "POST", &Management::create_space},
      {Resource::kSpace, "GET", &Management::get_space},
      {Resource::kSpace, "PATCH", &Management::patch_space},
      {Resource::kSpace, "DELETE", &Management::delete_space},
      {Resource::kSigningSecret, "GET", &Management::get_signing_secret},
      {Resource::kRotateSecret, "POST", &Management::rotate_signing_secret},
      {Resource::kSecrets, "GET", &Management::list_secrets},
      {Resource::kSecret, "GET", &Management::get_secret},
      {Resource::kSecret, "PUT", &Management::put_secret},
      {Resource::kSecret, "DELETE", &Management::delete_secret},
      {Resource::kFunctions, "GET", &Management::list_functions},
      {Resource::kFunctions, "POST", &Management::create_function},
      {Resource::kFunction, "GET", &Management::get_function},
      {Resource::kFunction, "PUT", &Management::put_function},
      {Resource::kFunction, "PATCH", &Management::patch_function},
      {Resource::kFunction, "DELETE", &Management::delete_function},
      {Resource::kCode, "GET", &Management::get_code},
      {Resource::kCode, "PUT", &Management::put_code},
      {Resource::kVersions, "GET", &Management::list_versions},
      {Resource::kVersion, "GET", &Management::get_version},
      {Resource::kVersionDiff, "GET", &Management::diff_versions},
      {Resource::kRollback, "POST", &Management::roll_back},
      {Resource::kTraffic, "GET", &Management::get_traffic},
      {Resource::kTraffic, "PUT", &Management::put_traffic},
      {Resource::kStop, "POST", &Management::stop_function},
      {Resource::kStart, "POST", &Management::start_function},
      {Resource::kOpenApi, "GET", &Management::open_api},
  };
  const std::string_view method =
      call.request.method == "HEAD" ? "GET" : std::string_view(call.request.method);
  std::string allow;
  for (const Method& entry : kMethods) {
    if (entry.resource != call.route.resource) continue;
    if (entry.method == method) return (this->*entry.handler)(call);
    allow += allow.empty() ? "" : ", ";
    allow += entry.method == "GET" ? "GET, HEAD" : entry.method;
  }
  ManagementReply reply = problem_reply(api::to_problem(
      Error{Code::kInvalid, Component::kGateway, "method_not_allowed", "this path takes " + allow}));
  reply.headers.emplace_back("Allow", std::move(allow));
  return reply;
}

Management::Answer Management::open_api(const Call& /*call*/) {
  return ManagementReply{200, {{"Content-Type", std::string(kJsonType)}}, std::string(kOpenApi)};
}

}  // namespace sterna::gateway
