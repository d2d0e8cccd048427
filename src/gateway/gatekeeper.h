// Tells who a request comes from, by its bearer token (RFC 6750), and refuses those who may not.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "auth/access_table.h"
#include "auth/failed_logins.h"
#include "base/clock.h"
#include "net/http_server.h"

namespace sterna::gateway {

// Why a request is not let in.
struct Refusal {
  unsigned status = 401;
  Error error;
  std::string challenge;             // of WWW-Authenticate; empty: none
  auth::GrantPtr caller = nullptr;   // whose token it was; null: nobody knows
  unsigned retry_after_seconds = 0;  // 0: no Retry-After
};

// 401 `token_invalid`. Unknown, expired and revoked tokens are not told apart.
Refusal invalid_token();

// Whether tokens are asked for: `--auth oauth2`, or `none`, which lets everyone do everything.
enum class TokenCheck : std::uint8_t { kOff, kOn };

// Of which web pages a request may come where no tokens are asked for; with tokens it does not matter,
// because pages of others have none.
enum class Pages : std::uint8_t { kOwn, kAll };

// Loop only.
class Gatekeeper {
 public:
  // Both outlive it. Of more than so many bad tokens in a minute from one address (0: any number) the others
  // are not even told that they are bad; good ones are always taken.
  Gatekeeper(auth::AccessTable& table, const Clock& clock, TokenCheck check, double bad_tokens_per_minute);

  // Who sends the request, if that one may do what is needed. `client` is the address that it comes from.
  std::expected<auth::GrantPtr, Refusal> admit(const net::HttpRequest& request, std::string_view client,
                                               const auth::Need& need, Pages pages = Pages::kOwn);

  // Only whether the page may, for what has credentials of its own. Where tokens are asked for: every one.
  std::expected<void, Refusal> check_pages(const net::HttpRequest& request, Pages pages) const;

 private:
  Refusal bad_token(std::string_view client);

  auth::AccessTable& table_;
  const Clock& clock_;
  const TokenCheck check_;
  const auth::GrantPtr everyone_;
  auth::FailedLogins bad_tokens_;
};

// Ends the exchange. With a call id (of an invocation) the answer says whose fault it is.
void answer_refusal(net::HttpConnection& connection, const Refusal& refusal, std::string_view call_id = {});

}  // namespace sterna::gateway
