// Targets and the headers that Sterna reads itself. The first line is a target, each further one the value of
// a header: every reader gets every value.
#include <array>
#include <string>

#include "callback/retry_after.h"
#include "callback/target.h"
#include "gateway/async_request.h"
#include "gateway/function_request.h"
#include "gateway/management_route.h"
#include "gateway/route.h"
#include "input.h"
#include "wire/messages.h"

namespace sterna::fuzz {
namespace {

bool has_dots(std::string_view path) {
  for (std::size_t at = 0; at != std::string_view::npos; at = path.find('/', at)) {
    at += at < path.size() && path[at] == '/' ? 1 : 0;
    const std::string_view segment = path.substr(at, path.find('/', at) - at);
    if (segment == "." || segment == "..") return true;
  }
  return false;
}

void read_target(std::string_view target) {
  const auto route = gateway::parse_route(target);
  if (!route) return;
  (void)gateway::parse_management_route(route->path);
  std::string value;
  (void)gateway::query_parameter(route->query, "wait", value);
  (void)gateway::query_switch(route->query, "follow");
  const auto path = gateway::function_path(route->tail, 3);
  if (!path) return;
  must(path->starts_with('/'), "a function's path begins with a slash");
  must(path->find('\0') == std::string::npos && !has_dots(*path), "a function's path leads nowhere else");
}

void read_url(std::string_view text, std::string_view base) {
  const auto target = callback::parse_target(text);
  if (!target) return;
  must(!target->host.empty() && target->port != 0, "a target has a host and a port");
  const auto again = callback::parse_target(target->url);
  must(again && again->origin() == target->origin(), "a target's URL leads to the same target");
  (void)callback::check_literal(*target, {});
  const auto next = callback::resolve_redirect(*target, base);
  must(!next || !target->tls || next->tls, "no redirect from https to http");
}

void read_header(std::string_view value, std::string_view target, UlidGenerator& ids) {
  constexpr std::array<std::string_view, 12> kNames = {
      "Prefer",      "X-Callback-Url",  "X-Delay-Seconds",  "X-Not-Before",      "Idempotency-Key",
      "traceparent", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Call-Id",
      "Connection",  "Authorization"};
  const ManualClock clock;
  net::HttpRequest request;
  request.method = "POST";
  request.target = target;
  for (const std::string_view name : kNames) request.headers.push_back({name, value});
  (void)gateway::parse_preference(request);
  (void)gateway::parse_idempotency_key(request);
  if (const auto headers = gateway::parse_async_headers(request, clock.wall())) {
    must(headers->earliest(clock.wall()) >= clock.wall() || headers->not_before,
         "no run before it was asked for");
  }
  for (const std::string_view name : kNames) {
    request.headers = {{name, value}};
    (void)gateway::parse_async_headers(request, clock.wall());
  }
  if (const auto trace = gateway::read_traceparent(value)) {
    const std::string_view read(trace->data(), trace->size());
    must(read.starts_with("00-") && gateway::read_traceparent(read) == trace,
         "what is read of a traceparent is one of version 00");
  }
  if (const auto after = callback::parse_retry_after(value, clock.wall())) {
    must(*after >= Duration::zero(), "no wait before now");
  }
  const std::string call_id = gateway::call_id_of(request, ids);
  must(is_ulid(call_id), "a call id is a ULID");
  const std::string payload = gateway::encode_request(
      request,
      {.client = "192.0.2.1", .path = "/", .query = "", .call_id = call_id, .access = api::Access::kToken},
      ids);
  wire::RequestHead head;
  std::string_view part;
  must(wire::read_request(payload, head, part).has_value(), "what a worker gets can be read");
}

}  // namespace
}  // namespace sterna::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sterna;        // NOLINT(google-build-using-namespace): this program's own
  using namespace sterna::fuzz;  // NOLINT(google-build-using-namespace): this program's own
  static const SystemClock clock;
  static UlidGenerator ids(clock);
  std::string_view rest = text_of(data, size);
  const std::string_view target = take_line(rest);
  read_target(target);
  read_url(target, rest);
  while (!rest.empty()) {
    const std::string_view value = take_line(rest);
    read_url(value, target);
    read_header(value, target, ids);
  }
  return 0;
}
