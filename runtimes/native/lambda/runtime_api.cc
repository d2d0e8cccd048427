#include "native/lambda/runtime_api.h"

#include <fmt/format.h>

#include <algorithm>

#include "native/lambda/api_requests.h"

namespace sterna::native {
namespace {

using State = LambdaRun::State;

constexpr std::string_view kPrefix = "/2018-06-01/runtime/";
constexpr std::string_view kErrorType = "lambda-runtime-function-error-type";
constexpr std::string_view kResponseMode = "lambda-runtime-function-response-mode";
constexpr std::string_view kPreludeType = "application/vnd.awslambda.http-integration-response";

std::string_view header(const net::HttpRequest& head, std::string_view name) {
  const std::string_view* found = head.find(name);
  return found == nullptr ? std::string_view() : *found;
}

std::unique_ptr<ApiRequest> refuse(ApiConnection& connection, std::uint32_t status, std::string_view type,
                                   std::string_view message) {
  return std::make_unique<Refusal>(connection, status, type, message);
}

}  // namespace

RuntimeApi::RuntimeApi(net::Loop& loop, LambdaFunction function, Observer observer)
    : loop_(loop), function_(std::move(function)), observer_(std::move(observer)) {}

std::unique_ptr<Run> RuntimeApi::start(Exchange& exchange) {
  std::string id(exchange.header("x-call-id"));
  // A caller may use one call id twice at a time.
  if (std::ranges::find(runs_, id, &LambdaRun::id) != runs_.end())
    id += "-" + std::to_string(exchange.call());
  auto run = std::make_unique<LambdaRun>(*this, loop_, exchange, std::move(id),
                                         loop_.clock().wall() + function_.timeout);
  runs_.push_back(run.get());
  give();
  return run;
}

void RuntimeApi::remove(LambdaRun& run) {
  std::erase(runs_, &run);
  if (runs_.empty()) observer_.on_idle();
}

bool RuntimeApi::only_sends() const {
  return !runs_.empty() && count(State::kAnswered) == runs_.size();
}

bool RuntimeApi::is_asked() const {
  return waiting_.size() > count(State::kOffered);
}

std::size_t RuntimeApi::count(State state) const {
  return static_cast<std::size_t>(std::ranges::count(runs_, state, &LambdaRun::state));
}

std::size_t RuntimeApi::in_program() const {
  return count(State::kGiven) + count(State::kAnswering);
}

LambdaRun* RuntimeApi::find(std::string_view id, State state) const {
  const auto found = std::ranges::find_if(
      runs_, [&](const LambdaRun* run) { return run->id() == id && run->state() == state; });
  return found == runs_.end() ? nullptr : *found;
}

std::unique_ptr<ApiRequest> RuntimeApi::route(ApiConnection& connection, const net::HttpRequest& head) {
  std::string_view path = head.target.substr(0, head.target.find('?'));
  if (!path.starts_with(kPrefix)) {
    return refuse(
        connection, 404, "NotFound",
        "this is the Lambda Runtime API: paths begin with /2018-06-01/runtime/; extensions, logs and "
        "telemetry are not served");
  }
  path.remove_prefix(kPrefix.size());
  if (path == "invocation/next") {
    if (head.method == "GET") return route_next(connection);
    return refuse(connection, 405, "MethodNotAllowed", "invocation/next is asked with GET");
  }
  const bool posted = head.method == "POST";
  if (path == "init/error" && posted) {
    if (!asked_once_) return std::make_unique<InitError>(*this, connection, header(head, kErrorType));
    return refuse(connection, 403, "InvalidStateTransition",
                  "the start was over when the first invocation was asked for");
  }
  const std::size_t slash = path.rfind('/');
  const std::string_view what = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  if (path.starts_with("invocation/") && slash > 11 && (what == "response" || what == "error")) {
    if (posted) return route_answer(connection, head, path.substr(11, slash - 11), what);
    return refuse(connection, 405, "MethodNotAllowed", "invocation/{id}/response and error are posted");
  }
  return refuse(connection, 404, "NotFound", "the Lambda Runtime API has no such path");
}

std::unique_ptr<ApiRequest> RuntimeApi::route_next(ApiConnection& connection) {
  // An answer on its way on another connection is as good as there.
  if (count(State::kGiven) < function_.concurrency || function_.concurrency > 1) {
    return std::make_unique<NextRequest>(*this, connection);
  }
  return refuse(
      connection, 403, "InvalidStateTransition",
      "an invocation has not been answered: post its response or its error before the next is asked for");
}

std::unique_ptr<ApiRequest> RuntimeApi::route_answer(ApiConnection& connection, const net::HttpRequest& head,
                                                     std::string_view id, std::string_view what) {
  LambdaRun* const run = find(id, State::kGiven);
  if (run == nullptr) {
    if (in_program() > 0) return refuse(connection, 400, "InvalidRequestID", "Invalid request ID");
    return refuse(connection, 403, "InvalidStateTransition",
                  "there is no invocation that waits for an answer");
  }
  if (what == "error") return std::make_unique<RunError>(*this, connection, *run, header(head, kErrorType));
  const std::string_view mode = header(head, kResponseMode);
  if (mode.empty()) return std::make_unique<WholeAnswer>(*this, connection, *run, head.content_length);
  if (!net::equal_ignoring_case(mode, "streaming")) {
    run->refuse("Lambda-Runtime-Function-Response-Mode must be streaming, or absent");
    return refuse(connection, 400, "InvalidFunctionResponseMode", "Invalid function response mode");
  }
  auto streamed = std::make_unique<StreamedAnswer>(*this, connection, *run);
  const std::string_view type = header(head, "content-type");
  const bool with_prelude = net::equal_ignoring_case(type.substr(0, kPreludeType.size()), kPreludeType);
  run->begin_stream(with_prelude ? LambdaRun::StreamKind::kWithPrelude : LambdaRun::StreamKind::kPlain, type);
  return streamed;
}

void RuntimeApi::on_next(NextRequest& request) {
  asked_once_ = true;
  waiting_.push_back(&request);
  give();
  observer_.on_next();
}

// An invocation whose way to the program was cut goes to the next who asks.
void RuntimeApi::on_next_gone(NextRequest& request) {
  std::erase(waiting_, &request);
  LambdaRun* const run = request.given().empty() ? nullptr : find(request.given(), State::kGiven);
  if (run == nullptr) return;
  run->set_offered();
  give();
}

void RuntimeApi::give() {
  while (!waiting_.empty()) {
    const auto offered = std::ranges::find(runs_, State::kOffered, &LambdaRun::state);
    if (offered == runs_.end()) return;
    NextRequest& request = *waiting_.front();
    waiting_.pop_front();
    give(**offered, request);
  }
}

void RuntimeApi::give(LambdaRun& run, NextRequest& request) {
  const wire::RequestHead& head = run.exchange().request();
  std::string headers = fmt::format(
      "Content-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: {}\r\nLambda-Runtime-Deadline-Ms: "
      "{}\r\n"
      "Lambda-Runtime-Invoked-Function-Arn: {}\r\n",
      run.id(), run.deadline().time_since_epoch().count(), function_.arn);
  if (const std::string trace = xray_trace(run.exchange().header("traceparent")); !trace.empty()) {
    headers.append("Lambda-Runtime-Trace-Id: ").append(trace).append("\r\n");
  }
  run.set_given();
  request.give(run, headers, http_event(head, run.exchange().body(), function_.source, loop_.clock().wall()));
}

}  // namespace sterna::native
