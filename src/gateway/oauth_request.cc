#include "gateway/oauth_request.h"

#include <algorithm>
#include <map>

#include "api/base64.h"
#include "gateway/route.h"
#include "net/http_text.h"

namespace sterna::gateway {
namespace {

constexpr std::string_view kFormType = "application/x-www-form-urlencoded";

using Form = std::map<std::string, std::string, std::less<>>;

OauthError invalid_request(std::string description) {
  return {.status = 400, .error = "invalid_request", .description = std::move(description)};
}

// One name or value of a form (WHATWG URL 5); false when it is broken.
bool form_decode(std::string_view text, std::string& out) {
  std::string raw(text);
  std::ranges::replace(raw, '+', ' ');
  return percent_decode(raw, out) && !out.contains('\0');
}

// Parameters without a value count as absent, unknown ones are kept and ignored, repeated ones are refused
// (RFC 6749 3.2).
std::expected<Form, OauthError> parse_form(std::string_view body) {
  Form form;
  while (!body.empty()) {
    const std::string_view pair = body.substr(0, body.find('&'));
    body.remove_prefix(std::min(pair.size() + 1, body.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    std::string name;
    std::string value;
    if (!form_decode(pair.substr(0, equals), name) ||
        !form_decode(pair.substr(std::min(equals + 1, pair.size())), value)) {
      return std::unexpected(invalid_request("the form is broken: an escape or a NUL byte"));
    }
    if (!form.emplace(name, value).second)
      return std::unexpected(invalid_request("a parameter is there more than once"));
  }
  std::erase_if(form, [](const auto& each) { return each.second.empty(); });
  return form;
}

bool is_form(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return net::equal_ignoring_case(type, kFormType);
}

// RFC 6749 2.3.1: id and secret are form-encoded, joined by a colon, then encoded in base64.
std::expected<ClientCredentials, OauthError> parse_basic(std::string_view value) {
  constexpr std::string_view kScheme = "basic ";
  if (!net::equal_ignoring_case(value.substr(0, kScheme.size()), kScheme))
    return std::unexpected(invalid_client());
  value.remove_prefix(kScheme.size());
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  const auto pair = api::base64_decode(value);
  if (!pair) return std::unexpected(invalid_client());
  const std::size_t colon = pair->find(':');
  ClientCredentials client;
  if (colon == std::string::npos || !form_decode(std::string_view(*pair).substr(0, colon), client.id) ||
      !form_decode(std::string_view(*pair).substr(colon + 1), client.secret)) {
    return std::unexpected(invalid_client());
  }
  return client;
}

std::string taken(const Form& form, std::string_view name) {
  const auto found = form.find(name);
  return found == form.end() ? std::string() : found->second;
}

struct Parsed {
  Form form;
  ClientCredentials client;
};

std::expected<Parsed, OauthError> parse(const OauthInput& input) {
  if (!input.query.empty())
    return std::unexpected(invalid_request("parameters belong into the body, not into the URL"));
  if (!is_form(input.content_type))
    return std::unexpected(invalid_request("the Content-Type must be " + std::string(kFormType)));
  auto form = parse_form(input.body);
  if (!form) return std::unexpected(form.error());
  if (input.authorization.size() > 1)
    return std::unexpected(invalid_request("send one Authorization header, not several"));
  if (input.authorization.empty()) {
    ClientCredentials client{.id = taken(*form, "client_id"), .secret = taken(*form, "client_secret")};
    if (client.id.empty() || client.secret.empty()) {
      return std::unexpected(
          OauthError{.status = 401,
                     .error = "invalid_client",
                     .description = "send client_id and client_secret, by Basic or in the form"});
    }
    return Parsed{.form = std::move(*form), .client = std::move(client)};
  }
  auto client = parse_basic(input.authorization.front());
  if (!client) return std::unexpected(client.error());
  if (form->contains("client_secret"))
    return std::unexpected(invalid_request("send the client's secret by Basic or in the form, not both"));
  if (form->contains("client_id") && taken(*form, "client_id") != client->id)
    return std::unexpected(invalid_request("client_id is another one than that of the Authorization header"));
  return Parsed{.form = std::move(*form), .client = std::move(*client)};
}

}  // namespace

OauthError invalid_client() {
  return {.status = 401,
          .error = "invalid_client",
          .description = "there is no such client, its secret is another one, or it may not ask for tokens"};
}

std::expected<TokenRequest, OauthError> parse_token_request(const OauthInput& input) {
  auto parsed = parse(input);
  if (!parsed) return std::unexpected(parsed.error());
  const std::string type = taken(parsed->form, "grant_type");
  if (type.empty())
    return std::unexpected(invalid_request("grant_type is missing; it must be client_credentials"));
  if (type != "client_credentials") {
    return std::unexpected(OauthError{.status = 400,
                                      .error = "unsupported_grant_type",
                                      .description = "grant_type must be client_credentials"});
  }
  TokenRequest request{.client = std::move(parsed->client), .scope = std::nullopt};
  if (const auto scope = parsed->form.find("scope"); scope != parsed->form.end())
    request.scope = scope->second;
  return request;
}

std::expected<RevokeRequest, OauthError> parse_revoke_request(const OauthInput& input) {
  auto parsed = parse(input);
  if (!parsed) return std::unexpected(parsed.error());
  RevokeRequest request{.client = std::move(parsed->client), .token = taken(parsed->form, "token")};
  if (request.token.empty()) return std::unexpected(invalid_request("token is missing"));
  return request;
}

}  // namespace sterna::gateway
