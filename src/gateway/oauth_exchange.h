// POST /oauth2/token and /oauth2/revoke: the client is checked on the loop, what follows is made durable on
// a thread of its own, which waits for no management request.
#pragma once

#include <memory>
#include <string>

#include "auth/access_table.h"
#include "auth/failed_logins.h"
#include "gateway/oauth_request.h"
#include "gateway/refusals.h"
#include "net/background.h"
#include "net/http_server.h"
#include "registry/registry.h"

namespace sterna::gateway {

// All of it outlives the exchanges.
struct OauthParts {
  auth::AccessTable& table;      // loop
  registry::Registry& registry;  // token thread
  Duration token_lifetime;
  auth::FailedLogins& bad_secrets;  // loop
  Refusals& refusals;
};

// Whether too many bad secrets came from the client's address lately; then this has been answered. For the
// head: the exchanges look again when the body is there.
bool is_guessing(net::HttpConnection& connection, const OauthParts& parts, MonotonicTime now);

inline constexpr std::uint64_t kMaxOauthBodyBytes = 16U << 10;

class OauthExchange final : public std::enable_shared_from_this<OauthExchange>,
                            private net::ResponseObserver {
 public:
  OauthExchange(net::Loop& loop, net::Background& thread, const OauthParts& parts,
                net::HttpConnection& connection)
      : loop_(loop), thread_(thread), parts_(parts), connection_(&connection) {}

  static void give_token(net::Loop& loop, net::Background& thread, const OauthParts& parts,
                         net::HttpConnection& connection, std::string_view query);
  static void revoke(net::Loop& loop, net::Background& thread, const OauthParts& parts,
                     net::HttpConnection& connection, std::string_view query);

 private:
  void on_client_gone() override { connection_ = nullptr; }
  void on_drained() override {}

  // Who asks; null: this has been answered.
  auth::GrantPtr authenticate(const ClientCredentials& client);
  void give(const TokenRequest& request);
  void revoke(const RevokeRequest& request);
  // Makes a change of the registry on the token thread, then answers with `body`. `lane`: as lane_of says.
  void change(const std::string& lane, std::function<Status(registry::Registry&)> change, std::string body);
  void refuse(const OauthError& error);
  void refuse(const Error& error);
  void answer(unsigned status, std::string_view body);

  net::Loop& loop_;
  net::Background& thread_;
  const OauthParts& parts_;
  net::HttpConnection* connection_;  // loop only; null when the client is gone
};

}  // namespace sterna::gateway
