#include "gateway/gatekeeper.h"

#include "api/problem.h"
#include "gateway/rates.h"
#include "gateway/web_pages.h"

namespace sterna::gateway {
namespace {

constexpr std::string_view kRealm = "Bearer realm=\"sterna\"";

Refusal refusal(unsigned status, Code code, std::string reason, std::string detail, std::string challenge) {
  return {.status = status,
          .error = {code, Component::kAuth, std::move(reason), std::move(detail)},
          .challenge = std::move(challenge)};
}

Refusal missing() {
  return refusal(401, Code::kDenied, "token_missing",
                 "send a token: Authorization: Bearer ...; POST /oauth2/token gives one to an app",
                 std::string(kRealm));
}

Refusal too_many(Duration wait) {
  Refusal refused =
      refusal(429, Code::kExhausted, std::string(kRateLimited),
              "too many bad tokens came from this address; wait, and ask for another token", {});
  refused.retry_after_seconds = retry_after_seconds(wait);
  return refused;
}

Refusal malformed(std::string detail) {
  return refusal(400, Code::kInvalid, "bad_authorization", std::move(detail),
                 std::string(kRealm) + ", error=\"invalid_request\"");
}

// What the request says after "Bearer", if it says so.
std::expected<std::string_view, Refusal> bearer_of(const net::HttpRequest& request) {
  constexpr std::string_view kScheme = "bearer";
  const std::string_view* found = nullptr;
  for (const net::Header& header : request.headers) {
    if (header.known != net::KnownHeader::kAuthorization) continue;
    if (found != nullptr) return std::unexpected(malformed("send one Authorization header, not several"));
    found = &header.value;
  }
  if (found == nullptr || !net::equal_ignoring_case(found->substr(0, kScheme.size()), kScheme) ||
      (found->size() > kScheme.size() && (*found)[kScheme.size()] != ' ')) {
    return std::unexpected(missing());
  }
  std::string_view token = found->substr(kScheme.size());
  token.remove_prefix(std::min(token.find_first_not_of(' '), token.size()));
  if (token.empty() || token.contains(' ')) {
    return std::unexpected(malformed("after \"Bearer\" and a space there must be one token"));
  }
  return token;
}

}  // namespace

Refusal invalid_token() {
  return refusal(401, Code::kDenied, "token_invalid",
                 "the token is unknown, expired or revoked; get another one from POST /oauth2/token",
                 std::string(kRealm) + ", error=\"invalid_token\"");
}

Gatekeeper::Gatekeeper(auth::AccessTable& table, const Clock& clock, TokenCheck check,
                       double bad_tokens_per_minute)
    : table_(table),
      clock_(clock),
      check_(check),
      everyone_(auth::unchecked_grant()),
      bad_tokens_(bad_tokens_per_minute) {}

Refusal Gatekeeper::bad_token(std::string_view client) {
  const Duration wait = bad_tokens_.failed(client, clock_.now());
  return wait > Duration::zero() ? too_many(wait) : invalid_token();
}

std::expected<void, Refusal> Gatekeeper::check_pages(const net::HttpRequest& request, Pages pages) const {
  if (check_ == TokenCheck::kOn || pages == Pages::kAll) return {};
  Status allowed = check_page(request);
  if (allowed) return {};
  return std::unexpected(Refusal{.status = 403, .error = std::move(allowed.error()), .challenge = {}});
}

std::expected<auth::GrantPtr, Refusal> Gatekeeper::admit(const net::HttpRequest& request,
                                                         std::string_view client, const auth::Need& need,
                                                         Pages pages) {
  if (check_ == TokenCheck::kOff) {
    auto page = check_pages(request, pages);
    if (!page) return std::unexpected(std::move(page.error()));
    return everyone_;
  }
  const auto token = bearer_of(request);
  if (!token) return std::unexpected(token.error());
  const auth::GrantPtr& grant = table_.find(*token, clock_.wall());
  if (!grant) return std::unexpected(bad_token(client));
  const Status allowed = auth::check(*grant, need);
  if (allowed) return grant;
  std::string challenge = std::string(kRealm) + ", error=\"insufficient_scope\"";
  if (allowed.error().reason == "insufficient_scope") challenge += ", scope=\"" + need.any_of.text() + "\"";
  return std::unexpected(
      Refusal{.status = 403, .error = allowed.error(), .challenge = std::move(challenge), .caller = grant});
}

void answer_refusal(net::HttpConnection& connection, const Refusal& refusal, std::string_view call_id) {
  connection.begin(refusal.status);
  connection.header("Content-Type", api::kProblemType);
  const bool comes_back = refusal.retry_after_seconds > 0;
  if (comes_back) connection.header("Retry-After", std::to_string(refusal.retry_after_seconds));
  if (!refusal.challenge.empty()) connection.header("WWW-Authenticate", refusal.challenge);
  if (comes_back || !call_id.empty()) connection.header("X-Sterna-Fault", "platform");
  if (!call_id.empty()) connection.header("X-Call-Id", call_id);
  connection.send(api::to_json(api::Problem{.status = static_cast<int>(refusal.status),
                                            .component = refusal.error.component,
                                            .reason = refusal.error.reason,
                                            .detail = refusal.error.detail,
                                            .call_id = std::string(call_id),
                                            .errors = {}}));
}

}  // namespace sterna::gateway
