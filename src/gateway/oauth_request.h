// What clients send to /oauth2/token (RFC 6749 4.4) and /oauth2/revoke (RFC 7009): pure text work.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sterna::gateway {

struct OauthInput {
  std::string_view query;                       // raw, without '?'
  std::string_view content_type;                // empty: absent
  std::vector<std::string_view> authorization;  // values of all such headers
  std::string_view body;
};

struct ClientCredentials {
  std::string id;
  std::string secret;
};

struct TokenRequest {
  ClientCredentials client;
  std::optional<std::string> scope;  // not given: all that the app has
};

struct RevokeRequest {
  ClientCredentials client;
  std::string token;
};

// An answer as in RFC 6749 5.2.
struct OauthError {
  unsigned status = 400;
  std::string error;
  std::string description;
};

OauthError invalid_client();

std::expected<TokenRequest, OauthError> parse_token_request(const OauthInput& input);
std::expected<RevokeRequest, OauthError> parse_revoke_request(const OauthInput& input);

}  // namespace sterna::gateway
