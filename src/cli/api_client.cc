#include "cli/api_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/paging.h"
#include "base/names.h"

namespace sterna::cli {
namespace {

using api::Json;

constexpr int kMaxPages = 1000;
constexpr std::size_t kMaxAnswerValues = 10'000'000;  // of JSON: a page of the largest functions has fewer

Code code_of_status(int status) {
  switch (status) {
    case 401:
    case 403:
      return Code::kDenied;
    case 404:
      return Code::kNotFound;
    case 409:
      return Code::kConflict;
    case 429:
      return Code::kExhausted;
    case 503:
      return Code::kUnavailable;
    case 504:
      return Code::kTimeout;
    default:
      return status >= 500 ? Code::kInternal : Code::kInvalid;
  }
}

std::string text_field(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// "\n  name: must be ...\n  limits.memory_mb: must be ..." from the list of a 422.
std::string field_errors(const Json& problem) {
  std::string out;
  const auto errors = problem.find("errors");
  if (errors == problem.end() || !errors->is_array()) return out;
  for (const auto& error : *errors) {
    if (!error.is_object()) continue;
    out += fmt::format("\n  {}: {}", text_field(error, "field"), text_field(error, "message"));
  }
  return out;
}

bool is_authorization(std::string_view header) {
  constexpr std::string_view kName = "authorization:";
  return header.size() >= kName.size() &&
         std::ranges::equal(header.substr(0, kName.size()), kName,
                            [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

}  // namespace

int exit_code_of(const Error& error) {
  if (error.reason == "unreachable") return kExitUnreachable;
  if (error.reason == "bad_usage" || error.reason == "bad_url" || error.reason == "bad_config")
    return kExitUsage;
  return kExitRefused;
}

std::unexpected<Error> bad_usage(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_usage", std::move(detail));
}

Error error_of(const HttpReply& reply) {
  Error error{code_of_status(reply.head.status), Component::kGateway, "http_error",
              fmt::format("the server answered {}", reply.head.status_line)};
  const auto problem = api::parse_json(reply.body);
  if (!problem || !problem->is_object()) return error;
  if (auto reason = text_field(*problem, "reason"); !reason.empty()) error.reason = std::move(reason);
  auto detail = text_field(*problem, "detail");
  if (detail.empty()) detail = text_field(*problem, "title");
  if (!detail.empty()) error.detail = std::move(detail);
  // The detail tells the first of them.
  if (const std::string fields = field_errors(*problem); !fields.empty())
    error.detail = "the server refuses these fields:" + fields;
  return error;
}

HttpRequest Api::request(std::string method, const std::string& path) const {
  std::string url = target_.url;
  while (url.ends_with('/')) url.pop_back();
  return {.method = std::move(method), .url = url + path, .headers = {}, .body = {}};
}

Status Api::authorize(HttpRequest& request) {
  if (std::ranges::any_of(request.headers, is_authorization)) return {};
  const auto token = tokens_.token(http_);
  if (!token) return std::unexpected(explain(token.error()));
  if (!token->empty()) request.headers.push_back("Authorization: Bearer " + *token);
  return {};
}

// Says what to do where curl only knows what happened.
Error Api::explain(Error error) const {
  if (error.reason == "unreachable") {
    error.detail = fmt::format(
        "no server answers at {} ({}).\nStart one with: sterna serve --auth none, or name another with --url "
        "or "
        "STERNA_URL.",
        target_.url, error.detail);
  }
  if (error.reason == "token_missing") {
    error.detail = fmt::format(
        "{} wants a token.\nLog in with: sterna login --url {} --client-id ID, or give one with --token or "
        "STERNA_TOKEN.",
        target_.url, target_.url);
  }
  if (error.reason == "token_invalid" && !target_.token.empty())
    error.detail = "the token of --token or STERNA_TOKEN is unknown, expired or revoked; get another one";
  constexpr std::string_view kForce = "say force=true";
  if (const auto at = error.detail.rfind(kForce);
      at != std::string::npos && (error.reason == "secret_in_use" || error.reason == "space_not_empty"))
    error.detail.replace(at, kForce.size(), "add --force");
  if (error.reason == "invalid_client") {
    error.detail += fmt::format(
        ".\nThe app may have been deleted or have another secret now. Log in again with: sterna login --url "
        "{} "
        "--client-id ID",
        target_.url);
  }
  return error;
}

Result<HttpReply> Api::fetch(HttpRequest request) {
  const std::size_t own_headers = request.headers.size();
  if (const Status authorized = authorize(request); !authorized) return std::unexpected(authorized.error());
  auto reply = http_.fetch(request);
  // A token that was got with credentials may have been revoked meanwhile; a body from a file is gone
  // already.
  constexpr int kUnauthorized = 401;
  if (reply && reply->head.status == kUnauthorized && request.upload == nullptr && tokens_.renew()) {
    request.headers.resize(own_headers);
    if (const Status authorized = authorize(request); !authorized) return std::unexpected(authorized.error());
    reply = http_.fetch(request);
  }
  if (!reply) return std::unexpected(explain(reply.error()));
  return reply;
}

Result<Json> Api::call(HttpRequest request) {
  auto reply = fetch(std::move(request));
  if (!reply) return std::unexpected(reply.error());
  if (reply->head.status >= 400) return std::unexpected(explain(error_of(*reply)));
  if (reply->body.empty()) return Json();
  auto json = api::parse_json(reply->body, kMaxAnswerValues);
  if (!json) {
    return fail(Code::kInternal, Component::kGateway, "broken_answer",
                fmt::format("{} did not answer with JSON; is it a Sterna server?", target_.url));
  }
  return json;
}

Status Api::stream(HttpRequest request, const HttpSinks& sinks) {
  if (const Status authorized = authorize(request); !authorized) return authorized;
  auto done = http_.stream(request, sinks);
  if (!done) return std::unexpected(explain(done.error()));
  return done;
}

Result<Json> Api::get(const std::string& path) {
  return call(request("GET", path));
}

Result<Json> Api::send(std::string method, const std::string& path) {
  return call(request(std::move(method), path));
}

Result<Json> Api::send(std::string method, const std::string& path, const Json& body) {
  HttpRequest message = request(std::move(method), path);
  message.headers.emplace_back("Content-Type: application/json");
  message.body = api::dump(body);
  return call(std::move(message));
}

Result<Json> Api::upload(const std::string& path, std::string_view content_type, std::string bytes) {
  HttpRequest message = request("PUT", path);
  message.headers.push_back(fmt::format("Content-Type: {}", content_type));
  message.body = std::move(bytes);
  return call(std::move(message));
}

Result<ListPage> Api::page(const std::string& path, std::size_t limit, std::string_view cursor) {
  std::string url = fmt::format("{}{}limit={}", path, path.contains('?') ? '&' : '?', limit);
  if (!cursor.empty()) url += fmt::format("&cursor={}", cursor);
  auto answer = get(url);
  if (!answer) return std::unexpected(answer.error());
  ListPage page{.items = Json::array(), .next_cursor = {}};
  if (!answer->is_object()) return page;
  if (const auto data = answer->find("data"); data != answer->end() && data->is_array()) page.items = *data;
  const auto paging = answer->find("paging");
  if (paging != answer->end() && paging->is_object()) page.next_cursor = text_field(*paging, "next_cursor");
  return page;
}

Result<Json> Api::list(const std::string& path, std::size_t limit) {
  Json items = Json::array();
  std::string cursor;
  for (int pages = 0; pages < kMaxPages && items.size() < limit; ++pages) {
    auto answer = page(path, std::min(api::kMaxPage, limit - items.size()), cursor);
    if (!answer) return std::unexpected(answer.error());
    items.insert(items.end(), answer->items.begin(), answer->items.end());
    cursor = answer->next_cursor;
    if (cursor.empty()) break;
  }
  return items;
}

Result<Json> Api::poll(const std::string& path, std::chrono::seconds wait) {
  constexpr std::chrono::seconds kSlack{15};  // for a busy server, beyond what it was asked to hold
  HttpRequest message = request("GET", fmt::format("{}?wait={}", path, wait.count()));
  message.timeout = wait + kSlack;
  return call(std::move(message));
}

Result<std::string> space_path(const Target& target) {
  if (!is_valid_name(target.space)) {
    return bad_usage(fmt::format("'{}' cannot be a space: {}", target.space, kNameRule));
  }
  return "/spaces/" + target.space;
}

Result<std::string> function_path(const Target& target, std::string_view name) {
  auto path = space_path(target);
  if (!path) return path;
  if (!is_valid_name(name)) return bad_usage(fmt::format("'{}' cannot be a function: {}", name, kNameRule));
  return fmt::format("{}/functions/{}", *path, name);
}

}  // namespace sterna::cli
