// Tells who a request comes from, by its bearer token (RFC 6750), and refuses those who may not.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "auth/access_table.h"
#include "base/clock.h"
#include "net/http_server.h"

namespace sterna::gateway {

// Why a request is not let in.
struct Refusal {
  unsigned status = 401;
  Error error;
  std::string challenge;            // of WWW-Authenticate; empty: none
  auth::GrantPtr caller = nullptr;  // whose token it was; null: nobody knows
};

// Whether tokens are asked for: `--auth oauth2`, or `none`, which lets everyone do everything.
enum class TokenCheck : std::uint8_t { kOff, kOn };

// Loop only.
class Gatekeeper {
 public:
  // Both outlive it.
  Gatekeeper(auth::AccessTable& table, const Clock& clock, TokenCheck check);

  // Who sends the request, if that one may do what is needed.
  std::expected<auth::GrantPtr, Refusal> admit(const net::HttpRequest& request, const auth::Need& need);

 private:
  auth::AccessTable& table_;
  const Clock& clock_;
  const TokenCheck check_;
  const auth::GrantPtr everyone_;
};

// Ends the exchange. With a call id (of an invocation) the answer says whose fault it is.
void answer_refusal(net::HttpConnection& connection, const Refusal& refusal, std::string_view call_id = {});

}  // namespace sterna::gateway
