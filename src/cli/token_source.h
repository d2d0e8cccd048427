// Where the token of a request comes from: it was given, or an app's credentials get one.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/http_client.h"
#include "cli/stored_logins.h"

namespace sterna::cli {

struct Target;

// A token as the server gives it.
struct GivenToken {
  std::string token;
  std::string scope;
  std::chrono::seconds expires_in{0};
};

// POST /oauth2/token. Fails with denied, reason `invalid_client`, or as HttpClient does.
Result<GivenToken> ask_for_token(HttpClient& http, const std::string& url, const Login& login);

class TokenSource {
 public:
  explicit TokenSource(const Target& target) : target_(target) {}

  // From --token or STERNA_TOKEN; else got with STERNA_CLIENT_ID and STERNA_CLIENT_SECRET; else with what
  // `sterna login` keeps for the server. Empty when there is none of them.
  Result<std::string> token(HttpClient& http);

  // The server has refused the token that it was sent. Whether `token` answers another one now.
  bool renew();

 private:
  Result<std::optional<Login>> login() const;

  const Target& target_;
  std::string token_;  // got with credentials
  std::chrono::steady_clock::time_point good_until_;
};

}  // namespace sterna::cli
