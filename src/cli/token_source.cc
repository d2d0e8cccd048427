#include "cli/token_source.h"

#include <fmt/format.h>

#include <cstdlib>

#include "api/base64.h"
#include "cli/api_client.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;

constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::seconds kSlack{10};  // a token that is about to expire is not used any more

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::unexpected<Error> refused(const HttpReply& reply, const Json& answer) {
  const std::string reason = text_of(answer, "error");
  if (reason.empty()) return std::unexpected(error_of(reply));
  return fail(Code::kDenied, Component::kAuth, reason,
              fmt::format("the server gives no token: {}", text_of(answer, "error_description")));
}

}  // namespace

Result<GivenToken> ask_for_token(HttpClient& http, const std::string& url, const Login& login) {
  std::string base = url;
  while (base.ends_with('/')) base.pop_back();
  const auto reply = http.fetch(
      {.method = "POST",
       .url = base + "/oauth2/token",
       .headers = {"Authorization: Basic " + api::base64_encode(login.client_id + ":" + login.client_secret),
                   "Content-Type: application/x-www-form-urlencoded"},
       .body = "grant_type=client_credentials",
       .timeout = kPatience});
  if (!reply) return std::unexpected(reply.error());
  const auto json = api::parse_json(reply->body);
  const Json answer = json && json->is_object() ? *json : Json::object();
  if (reply->head.status >= 400) return refused(*reply, answer);
  GivenToken given{.token = text_of(answer, "access_token"), .scope = text_of(answer, "scope")};
  if (const auto seconds = answer.find("expires_in"); seconds != answer.end() && seconds->is_number_integer())
    given.expires_in = std::chrono::seconds(seconds->get<std::int64_t>());
  if (given.token.empty()) {
    return fail(Code::kInternal, Component::kGateway, "broken_answer",
                fmt::format("{} did not answer with a token; is it a Sterna server?", url));
  }
  return given;
}

Result<std::optional<Login>> TokenSource::login() const {
  Login login{.client_id = variable("STERNA_CLIENT_ID"), .client_secret = variable("STERNA_CLIENT_SECRET")};
  if (login.client_id.empty() != login.client_secret.empty())
    return bad_usage("set STERNA_CLIENT_ID and STERNA_CLIENT_SECRET both, or none of them");
  if (!login.client_id.empty()) return login;
  return find_login(logins_file(), target_.url);
}

Result<std::string> TokenSource::token(HttpClient& http) {
  if (!target_.token.empty() || !target_.use_login) return target_.token;
  const auto now = std::chrono::steady_clock::now();
  if (!token_.empty() && now < good_until_) return token_;
  const auto known = login();
  if (!known) return std::unexpected(known.error());
  if (!*known) return std::string();
  auto given = ask_for_token(http, target_.url, **known);
  if (!given) return std::unexpected(given.error());
  token_ = given->token;
  good_until_ = now + given->expires_in - kSlack;
  return token_;
}

bool TokenSource::renew() {
  if (token_.empty()) return false;
  token_.clear();
  return true;
}

}  // namespace sterna::cli
