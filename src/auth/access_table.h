// Which apps and tokens are good right now, in memory: a request is checked without the database.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "auth/credentials.h"
#include "auth/grant.h"
#include "base/clock.h"

namespace sterna::auth {

struct AppAccess {
  Grant grant;
  Digest secret{};  // of the client secret
  bool disabled = false;
};

struct TokenAccess {
  Digest hash{};
  ScopeSet scopes;  // at most those of the app
  WallTime expires_at;
};

// Follows the registry, which keeps all of this on disk. Loop only.
class AccessTable {
 public:
  // Of apps that have none of their own. Call before the first app is set.
  void set_default_rate(const RateLimit& limit) { default_rate_ = limit; }

  // Replaces everything that is known of the app, but for how much it has asked for lately. Its rate limit
  // holds from `now` on.
  void set(AppAccess app, const std::vector<TokenAccess>& tokens, MonotonicTime now);
  // These do nothing when there is none.
  void remove(const std::string& app);
  void remove_space(std::string_view space);

  // What the token may do; null when it is unknown, expired, or revoked. The grant is good as long as the
  // caller keeps it.
  const GrantPtr& find(std::string_view token, WallTime now);

  // The grant of an app that may ask for tokens; null when there is none, its secret is another one, or it is
  // disabled or expired.
  GrantPtr authenticate(const std::string& app, std::string_view secret, WallTime now);

  // Forgets tokens that have expired.
  void sweep(WallTime now);
  std::size_t tokens() const { return tokens_.size(); }

 private:
  struct DigestHash {
    std::size_t operator()(const Digest& digest) const;
  };
  struct DigestEqual {
    bool operator()(const Digest& a, const Digest& b) const { return equal(a, b); }
  };
  struct Token {
    GrantPtr grant;
    WallTime expires_at;
  };
  struct App {
    GrantPtr grant;
    Digest secret{};
    bool disabled = false;
    std::vector<Digest> tokens;
  };
  using Apps = std::unordered_map<std::string, App>;
  using Tokens = std::unordered_map<Digest, Token, DigestHash, DigestEqual>;
  // A token as it was sent, so that who asks hundreds of times a second is not hashed each time.
  struct Recent {
    std::string text;
    const Token* known = nullptr;
  };

  // Takes the app away, with its tokens.
  Tokens take(Apps::iterator app);
  static GrantPtr grant_of(const TokenAccess& token, const Grant& app, Tokens& before);
  static void withdraw(const Tokens& tokens);
  void forget_recent() { recent_ = {}; }  // before tokens are erased

  RateLimit default_rate_;
  Hasher hasher_;
  Apps apps_;  // by id
  Tokens tokens_;
  std::array<Recent, 64> recent_;  // by a hash of the text
};

}  // namespace sterna::auth
