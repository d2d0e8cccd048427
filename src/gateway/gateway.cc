#include "gateway/gateway.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>

#include "api/problem.h"
#include "gateway/build_log_exchange.h"
#include "gateway/cors.h"
#include "gateway/function_request.h"
#include "gateway/invocation_exchange.h"
#include "gateway/log_exchange.h"
#include "gateway/management_exchange.h"
#include "gateway/problem_answer.h"

namespace sterna::gateway {
namespace {

constexpr std::array<std::string_view, 5> kInvokeMethods{"GET", "POST", "PUT", "PATCH", "DELETE"};
constexpr std::size_t kKeptExchanges = 256;
constexpr std::uint64_t kNoBody = 64U << 10;  // for requests whose body nobody looks at

// Its code is being built or loaded: what is accepted now waits for that.
bool is_coming(const invoke::FunctionEntry& entry) {
  using registry::FunctionStatus;
  return entry.status == FunctionStatus::kPending || entry.status == FunctionStatus::kBuilding;
}

Error is_internal() {
  return {Code::kDenied, Component::kAuth, "function_internal",
          "the function is only run by triggers (access: internal)"};
}

unsigned status_of(const Error& error) {
  return static_cast<unsigned>(api::http_status(error));
}

// Whether a list as Allow has it names the method.
bool is_listed(std::string_view list, std::string_view method) {
  constexpr std::string_view kBetween = ", ";
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(kBetween), list.size());
    if (list.substr(0, end) == method) return true;
    list.remove_prefix(std::min(end + kBetween.size(), list.size()));
  }
  return false;
}

void answer_method_not_allowed(net::HttpConnection& connection, std::string_view allow) {
  connection.begin(405);
  connection.header("Allow", allow);
  connection.header("Content-Type", api::kProblemType);
  connection.header("X-Sterna-Fault", "platform");
  connection.send(api::to_json(api::Problem{.status = 405,
                                            .component = Component::kGateway,
                                            .reason = "method_not_allowed",
                                            .detail = "allowed here: " + std::string(allow),
                                            .call_id = {},
                                            .errors = {}}));
}

void answer_healthy(net::HttpConnection& connection) {
  connection.begin(200);
  connection.header("Content-Type", "text/plain; charset=utf-8");
  connection.send("ok\n");
}

}  // namespace

struct Gateway::Target final : net::RequestState {
  Route route;  // views of the request's target
  // Of the kinds that begin with {fn} and have to do with its runs:
  invoke::FunctionEntry* entry = nullptr;  // good while the table's removals() are these
  std::uint64_t removals = 0;
  // Of the kinds that run a function:
  std::string path;                          // as the function sees it
  std::optional<AsyncWish> wish;             // empty: a synchronous call
  Meters meters;                             // of what runs a function, or shows its answer
  auth::GrantPtr caller;                     // whose token was checked
  api::Access access = api::Access::kToken;  // of the function when that was
  MonotonicTime checked_at;

  // As the function sees the request: a token that was checked is the platform's, also where the function has
  // become public since.
  api::Access access_seen() const { return caller ? api::Access::kToken : api::Access::kPublic; }
};

Gateway::Target& Gateway::target_of(net::HttpConnection& connection) {
  auto& state = connection.state();
  if (!state) state = std::make_unique<Target>();
  return static_cast<Target&>(*state);
}

Gateway::Gateway(const GatewayParts& parts, const GatewayLimits& limits)
    : parts_(parts), limits_(limits), forget_([this](InvokeExchange& exchange) { forget(exchange); }) {}

Gateway::~Gateway() {
  exchanges_.clear_and_dispose(std::default_delete<InvokeExchange>());
  ended_.clear_and_dispose(std::default_delete<InvokeExchange>());
}

InvokeExchange& Gateway::new_exchange() {
  if (ended_.empty()) {
    exchanges_.push_back(*std::make_unique<InvokeExchange>(parts_.functions, forget_).release());
  } else {
    exchanges_.splice(exchanges_.end(), ended_, ended_.begin());
  }
  return exchanges_.back();
}

void Gateway::forget(InvokeExchange& exchange) {
  ended_.splice(ended_.begin(), exchanges_, exchanges_.iterator_to(exchange));
  if (ended_.size() > kKeptExchanges) ended_.pop_back_and_dispose(std::default_delete<InvokeExchange>());
}

Error Gateway::not_found(const Route& route) const {
  if (parts_.functions.find_space(route.space) == nullptr) {
    return {Code::kNotFound, Component::kRegistry, "space_not_found", "there is no space of that name"};
  }
  return {Code::kNotFound, Component::kRegistry, "function_not_found",
          "there is no function of that name in the space"};
}

std::uint64_t Gateway::on_head(net::HttpConnection& connection) {
  if (connection.request().target == "*") {  // RFC 9110 9.3.7
    connection.begin(204);
    connection.header("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE");
    connection.send({});
    return kNoBody;
  }
  const auto route = parse_route(connection.request().target);
  if (!route) {
    answer_invocation_error(connection, status_of(route.error()), route.error(), {});
    return 0;
  }
  Target& target = target_of(connection);
  target.route = *route;
  target.caller.reset();
  target.meters = {};
  switch (route->kind) {
    case RouteKind::kInvoke:
    case RouteKind::kAsyncInvoke:
      find_function(target);
      return answers_preflight(connection, target) ? kNoBody : check_invoke(connection, target);
    case RouteKind::kInvocations:
      find_function(target);
      if (!answers_preflight(connection, target)) check_invocations(connection, target);
      return kNoBody;
    case RouteKind::kManagement:
      if (!check_management(connection, target) || !count_management(connection, target)) return 0;
      connection.answers_at_length();
      return parts_.management.max_body_bytes(route->path, connection.request().method);
    case RouteKind::kGiveToken:
    case RouteKind::kRevokeToken:
      check_oauth(connection);
      return kMaxOauthBodyBytes;
    default:
      return check_others(connection, target);
  }
}

void Gateway::find_function(Target& target) {
  target.entry = parts_.functions.find(target.route.space, target.route.function);
  target.removals = parts_.functions.removals();
}

// When the body has come: the function may have gone meanwhile.
invoke::FunctionEntry* Gateway::entry_of(const Target& target) {
  return target.removals == parts_.functions.removals()
             ? target.entry
             : parts_.functions.find(target.route.space, target.route.function);
}

// Adds to the answer what browsers need. True: they only asked whether a page may call, and have been told.
bool Gateway::answers_preflight(net::HttpConnection& connection, const Target& target) {
  return target.entry != nullptr && target.entry->cors &&
         apply_cors(connection, *target.entry->cors) == Preflight::kAnswered;
}

void Gateway::check_oauth(net::HttpConnection& connection) {
  if (connection.request().method != "POST") return answer_method_not_allowed(connection, "POST");
  if (const auto page = parts_.gatekeeper.check_pages(connection.request(), Pages::kOwn); !page)
    return answer_refusal(connection, page.error());
  is_guessing(connection, parts_.oauth, parts_.loop.now());
}

// What is only read.
std::uint64_t Gateway::check_others(net::HttpConnection& connection, Target& target) {
  const Route& route = target.route;
  if (route.kind != RouteKind::kHealth && route.kind != RouteKind::kReady) connection.answers_at_length();
  if (!only_reads(connection.request().method)) {
    answer_method_not_allowed(connection, "GET, HEAD");
  } else if (route.kind == RouteKind::kMetrics && !limits_.open_metrics) {
    // It names the functions of all spaces.
    admit(connection, target,
          {.any_of = auth::Scope::kSpaceRead, .whole_server = true, .all_functions = true});
  } else if (route.kind == RouteKind::kLogs || route.kind == RouteKind::kBuilds) {
    admit(connection, target,
          {.any_of = auth::Scope::kFunctionRead, .space = route.space, .function = route.function});
  }
  return kNoBody;
}

bool Gateway::let_in(net::HttpConnection& connection, Target& target, const auth::Need& need, Pages pages) {
  target.caller.reset();
  auto caller = parts_.gatekeeper.admit(connection.request(), connection.client(), need, pages);
  if (!caller) {
    note_refusal(caller.error());
    if (target.route.kind == RouteKind::kManagement) {
      ManagementExchange::refused(parts_.management_thread, parts_.management, connection, target.route.path,
                                  caller.error());
    }
    answer_refusal(connection, caller.error());
    return false;
  }
  target.caller = std::move(*caller);
  return true;
}

bool Gateway::admit(net::HttpConnection& connection, Target& target, const auth::Need& need, Pages pages) {
  return let_in(connection, target, need, pages) && count_management(connection, target);
}

bool Gateway::count_management(net::HttpConnection& connection, Target& target) {
  if (!target.caller || !target.caller->meter) return true;
  const auto too_fast = count_request({.app = target.caller->meter}, parts_.loop.now());
  if (!too_fast) return true;
  parts_.refusals.count(target.caller->space, too_fast->limit);
  target.caller.reset();
  answer_too_fast(connection, *too_fast, {});
  return false;
}

void Gateway::note_refusal(const Refusal& refusal) {
  if (refusal.retry_after_seconds > 0) parts_.refusals.count({}, "bad_tokens");
}

// Before the body comes, which may be large.
bool Gateway::check_management(net::HttpConnection& connection, Target& target) {
  const auto access = Management::access_of(target.route.path, connection.request().method);
  return access.open || let_in(connection, target, access.need());
}

// Whether the client may call the function, and whose limits that falls under. Whether there is such a
// function, only those learn who may call it.
bool Gateway::let_call(net::HttpConnection& connection, Target& target, const invoke::FunctionEntry* entry) {
  target.checked_at = parts_.loop.now();
  target.access = entry == nullptr ? api::Access::kToken : entry->access;
  if (target.access != api::Access::kPublic) {
    const net::HttpRequest& request = connection.request();
    auto caller = parts_.gatekeeper.admit(request, connection.client(),
                                          {.any_of = auth::Scope::kFunctionInvoke,
                                           .space = target.route.space,
                                           .function = target.route.function},
                                          Pages::kAll);
    if (!caller) {
      note_refusal(caller.error());
      answer_refusal(connection, caller.error(), call_id_of(request, parts_.ids));
      return false;
    }
    target.caller = std::move(*caller);
    target.meters.app = target.caller->meter;
  }
  if (entry != nullptr) target.meters.space = entry->in_space->meter;
  return true;
}

// Whether what let_call has found out still holds. A token may end in every turn of the loop.
bool Gateway::is_as_checked(const Target& target, const invoke::FunctionEntry& entry) const {
  return target.removals == parts_.functions.removals() && target.access == entry.access &&
         (target.access == api::Access::kPublic || target.checked_at == parts_.loop.now());
}

// The call begins with the body's end, and who may call the function may have changed since the head came.
// The request has been counted.
bool Gateway::check_again(net::HttpConnection& connection, Target& target,
                          const invoke::FunctionEntry& entry) {
  if (is_as_checked(target, entry)) return true;
  if (!let_call(connection, target, &entry)) return false;
  const auto refuse = [&](unsigned status, const Error& error) {
    answer_invocation_error(connection, status, error, call_id_of(connection.request(), parts_.ids));
    return false;
  };
  if (entry.access == api::Access::kInternal) return refuse(403, is_internal());
  if (!target.wish) return true;
  if (target.caller) target.wish->app = target.caller->app;
  const Status allowed = check_callback(entry, *target.wish);
  return allowed || refuse(400, allowed.error());
}

Status Gateway::check_callback(const invoke::FunctionEntry& entry, const AsyncWish& wish) const {
  if (wish.headers.callback_url.empty()) return {};
  return parts_.async.check_callback(entry.space, wish.headers.callback_url);
}

// Refuses before the body is read what cannot run anyway. Answers how large the body may be.
std::uint64_t Gateway::check_invoke(net::HttpConnection& connection, Target& target) {
  const net::HttpRequest& request = connection.request();
  const Route& route = target.route;
  const bool async = route.kind == RouteKind::kAsyncInvoke;
  if (async ? request.method != "POST"
            : std::ranges::find(kInvokeMethods, request.method) == kInvokeMethods.end()) {
    answer_method_not_allowed(connection, async ? "POST" : "GET, POST, PUT, PATCH, DELETE");
    return 0;
  }
  const auto refuse = [&](unsigned status, const Error& error) -> std::uint64_t {
    answer_invocation_error(connection, status, error, call_id_of(request, parts_.ids));
    return 0;
  };
  auto path = function_path(route.tail, limits_.max_path_levels);
  if (!path) return refuse(status_of(path.error()), path.error());
  target.path = std::move(*path);
  const invoke::FunctionEntry* entry = target.entry;
  if (!let_call(connection, target, entry)) return 0;
  if (target.meters.any()) {
    if (const auto too_fast = count_request(target.meters, parts_.loop.now())) {
      parts_.refusals.count(entry == nullptr ? std::string_view() : entry->space, too_fast->limit);
      answer_too_fast(connection, *too_fast, call_id_of(request, parts_.ids));
      return 0;
    }
  }
  if (entry == nullptr) return refuse(404, not_found(route));
  if (entry->access == api::Access::kInternal) return refuse(403, is_internal());
  const bool later = async && is_coming(*entry);
  if (const invoke::FailureInfo* refusal = invoke::admit(*entry); refusal != nullptr && !later) {
    answer_failure(connection, *refusal, call_id_of(request, parts_.ids));
    return 0;
  }
  auto wish = async_wish_of(request, route.kind, target.caller.get(), parts_.loop.clock().wall());
  if (!wish) return refuse(400, wish.error());
  target.wish = std::move(*wish);
  if (target.wish) {
    const Status allowed = check_callback(*entry, *target.wish);
    if (!allowed) return refuse(400, allowed.error());
  }
  if (!target.wish && !entry->request_buffering) connection.begin_early();
  return entry->max_body_bytes;
}

void Gateway::check_invocations(net::HttpConnection& connection, Target& target) {
  using Resource = InvocationRoute::Resource;
  const Route& route = target.route;
  const auto found = parse_invocation_route(route.tail);
  if (!found) {
    return answer_problem(connection, 404,
                          {Code::kNotFound, Component::kGateway, "not_found",
                           "there is only {fn}/invocations[/{id}[/response|/redrive|/redeliver]]"});
  }
  const std::string_view allowed = allowed_methods(found->resource);
  const std::string_view method = connection.request().method;
  if (!is_listed(allowed, method)) return answer_method_not_allowed(connection, allowed);
  // Who started one knows its id, and may follow it.
  auth::ScopeSet any_of = auth::Scope::kFunctionInvoke;
  if (found->resource == Resource::kList) {
    any_of = auth::Scope::kFunctionRead;
    connection.answers_at_length();
  }
  if (only_reads(method)) any_of = any_of | auth::Scope::kFunctionRead;
  const auto* entry = target.entry;
  const bool by_cors = entry != nullptr && entry->cors && is_allowed(connection.request(), *entry->cors);
  admit(connection, target, {.any_of = any_of, .space = route.space, .function = route.function},
        by_cors ? Pages::kAll : Pages::kOwn);
}

void Gateway::on_request(net::HttpConnection& connection) {
  Target& target = target_of(connection);
  const Route& route = target.route;
  switch (route.kind) {
    case RouteKind::kInvoke:
    case RouteKind::kAsyncInvoke:
      return invoke(connection, target);
    case RouteKind::kInvocations:
      return invocations(connection, target);
    case RouteKind::kLogs:
      return logs(connection, route);
    case RouteKind::kBuilds:
      return build_logs(connection, route);
    case RouteKind::kHealth:
      return answer_healthy(connection);
    case RouteKind::kReady:
      return readiness(connection);
    case RouteKind::kMetrics:
      return metrics(connection);
    case RouteKind::kGiveToken:
      return OauthExchange::give_token(parts_.loop, parts_.token_thread, parts_.oauth, connection,
                                       route.query);
    case RouteKind::kRevokeToken:
      return OauthExchange::revoke(parts_.loop, parts_.token_thread, parts_.oauth, connection, route.query);
    case RouteKind::kManagement:
      break;
  }
  // Again: the body may have taken long, and the token have been revoked meanwhile.
  if (!check_management(connection, target)) return;
  ManagementExchange::start(parts_.loop, parts_.management_thread, parts_.management, connection,
                            std::move(target.caller), route.path, route.query);
}

void Gateway::invoke(net::HttpConnection& connection, Target& target) {
  const net::HttpRequest& request = connection.request();
  const Route& route = target.route;
  invoke::FunctionEntry* entry = entry_of(target);
  if (entry != nullptr && !check_again(connection, target, *entry)) return;
  std::string call_id = call_id_of(request, parts_.ids);
  if (entry == nullptr) {  // it went while the body came
    return answer_invocation_error(connection, 404,
                                   {Code::kNotFound, Component::kRegistry, "function_not_found",
                                    "there is no function of that name in the space"},
                                   call_id);
  }
  if (target.meters.any()) target.meters.take_bytes(connection.body().size(), parts_.loop.now());
  const auto& wish = target.wish;
  if (wish && route.kind == RouteKind::kAsyncInvoke && is_coming(*entry)) {
    return submit(connection, *entry, target, *wish, call_id);
  }
  if (const invoke::FailureInfo* refusal = invoke::admit(*entry))
    return answer_failure(connection, *refusal, call_id);
  if (wish) return submit(connection, *entry, target, *wish, call_id);

  InvokeExchange& exchange = new_exchange();
  if (target.meters.any()) exchange.charge(parts_.loop, target.meters);
  std::string encoded = encode_request(request,
                                       {.client = connection.client(),
                                        .path = target.path,
                                        .query = route.query,
                                        .call_id = call_id,
                                        .access = target.access_seen()},
                                       parts_.ids, exchange.request_memory());
  exchange.start(connection, *entry, std::move(call_id), std::move(encoded), parts_.loop.now());
}

void Gateway::submit(net::HttpConnection& connection, const invoke::FunctionEntry& entry,
                     const Target& target, const AsyncWish& wish, const std::string& call_id) {
  auto submission = make_submission(connection, entry, target.path, target.route.query, call_id, wish,
                                    target.access_seen(), parts_.loop.clock().wall(), parts_.ids);
  if (!submission)
    return answer_invocation_error(connection, status_of(submission.error()), submission.error(), call_id);
  SubmitExchange::start(parts_.loop, parts_.log_thread, parts_.async, connection, std::move(*submission),
                        wish.plan, target.meters);
}

void Gateway::invocations(net::HttpConnection& connection, const Target& target) {
  const Route& route = target.route;
  const auto found = parse_invocation_route(route.tail);
  const invoke::FunctionEntry* entry = entry_of(target);
  if (entry == nullptr || !found) return answer_problem(connection, 404, not_found(route));
  InvocationExchange::start(parts_.loop, parts_.log_thread, parts_.async, connection,
                            {.id = entry->id, .space = entry->space, .name = entry->name}, *found,
                            route.query,
                            {.max_age = entry->async.max_age, .space_backlog = entry->in_space->max_backlog},
                            {.app = target.caller->meter, .space = entry->in_space->meter});
}

void Gateway::logs(net::HttpConnection& connection, const Route& route) {
  const invoke::FunctionEntry* entry = parts_.functions.find(route.space, route.function);
  if (entry == nullptr) return answer_problem(connection, 404, not_found(route));
  auto query = parse_log_query(route.query);
  if (!query) return answer_problem(connection, 400, query.error());
  LogExchange::start(parts_.loop, parts_.log_thread, parts_.logs, connection, entry->id, std::move(*query));
}

void Gateway::build_logs(net::HttpConnection& connection, const Route& route) {
  const invoke::FunctionEntry* entry = parts_.functions.find(route.space, route.function);
  if (entry == nullptr) return answer_problem(connection, 404, not_found(route));
  const auto query = parse_build_log_query(route.tail, route.query);
  if (!query) return answer_problem(connection, status_of(query.error()), query.error());
  BuildLogExchange::start(parts_.loop, parts_.log_thread, parts_.build_logs, connection, entry->id, *query);
}

void Gateway::readiness(net::HttpConnection& connection) {
  connection.begin(parts_.health.is_ready() ? 200 : 503);
  connection.header("Content-Type", "application/json");
  connection.header("Cache-Control", "no-store");
  connection.send(parts_.health.to_json());
}

void Gateway::metrics(net::HttpConnection& connection) {
  parts_.update_gauges();
  connection.begin(200);
  connection.header("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  connection.send(prometheus::TextSerializer().Serialize(parts_.metrics.Collect()));
}

void Gateway::on_refused(net::HttpConnection& connection, unsigned status, const Error& error) {
  const net::HttpRequest& request = connection.request();
  Target& target = target_of(connection);
  const bool manages = target.route.kind == RouteKind::kManagement;
  // Who has been let in and sends too much, or too slowly. Of a request whose head is broken there is nobody.
  if (const auth::GrantPtr caller = std::exchange(target.caller, nullptr); manages && caller) {
    ManagementExchange::refused(parts_.management_thread, parts_.management, connection, target.route.path,
                                {.status = status, .error = error, .challenge = {}, .caller = caller});
  }
  const bool has_large_body = manages && error.reason == "body_too_large";
  answer_invocation_error(
      connection, status,
      has_large_body ? parts_.management.body_too_large(target.route.path, request.method) : error,
      call_id_of(request, parts_.ids));
}

}  // namespace sterna::gateway
