#include "registry/registry.h"
#include "registry/rows.h"
#include "registry/write.h"
#include "store/statement.h"

namespace sterna::registry {

using store::Statement;

Result<AppTokens> Registry::with_tokens(const App& app) {
  AppTokens with{.app = {.grant = grant_of(app), .secret = app.secret, .disabled = app.spec.disabled},
                 .tokens = {}};
  Statement query(*database_,
                  "SELECT hash, scopes, expires_at FROM tokens WHERE app_id = ?1 AND expires_at > ?2");
  query.bind(app.id, now_ms());
  while (true) {
    const Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return with;
    const Result<auth::ScopeSet> scopes = auth::parse_scopes(query.text(1));
    if (!scopes || query.blob(0).size() != auth::Digest().size()) continue;  // of a newer program
    with.tokens.push_back({.hash = auth::digest_of_bytes(query.blob(0)),
                           .scopes = *scopes,
                           .expires_at = from_ms(query.integer(2))});
  }
}

// The loop has checked all of this against what it knew. The app may have changed since then, and the change
// has revoked the tokens that were there.
Status Registry::check_may_issue(const std::string& id, const auth::Digest& secret,
                                 const auth::TokenAccess& token) {
  const Result<App> app = load_app(id);
  if (!app && app.error().code != Code::kNotFound) return std::unexpected(app.error());
  if (!app || app->spec.disabled || !auth::equal(app->secret, secret)) {
    return fail(Code::kDenied, Component::kAuth, "app_not_usable",
                "the app has been deleted or disabled, or has another secret");
  }
  const bool ends_in_time = !app->spec.expires_at || token.expires_at <= *app->spec.expires_at;
  if (ends_in_time && grant_of(*app).scopes.contains(token.scopes)) return {};
  return fail(Code::kUnavailable, Component::kAuth, "app_changed",
              "what the app may do was changed at this moment; ask again");
}

Status Registry::issue_token(const std::string& app, const auth::Digest& secret,
                             const auth::TokenAccess& token) {
  const Status issued = write({}, [&]() -> Status {
    if (const Status may = check_may_issue(app, secret, token); !may) return may;
    // A client that asks for a token before each request must not fill the server: the ones that end first
    // go.
    const Status room =
        Statement(*database_,
                  "DELETE FROM tokens WHERE hash IN (SELECT hash FROM tokens WHERE app_id = ?1"
                  " ORDER BY expires_at DESC LIMIT -1 OFFSET ?2)")
            .bind(app, kMaxTokensPerApp - 1)
            .run();
    if (!room) return room;
    return Statement(
               *database_,
               "INSERT INTO tokens(hash, app_id, scopes, created_at, expires_at) VALUES(?1, ?2, ?3, ?4, ?5)")
        .bind(store::Blob{auth::bytes_of(token.hash)}, app, token.scopes.text(), now_ms(),
              token.expires_at.time_since_epoch().count())
        .run();
  });
  if (issued) tell_app(app);
  return issued;
}

Status Registry::revoke_token(const std::string& app, const auth::Digest& hash) {
  const Status gone = write({}, [&]() -> Status {
    return Statement(*database_, "DELETE FROM tokens WHERE hash = ?1 AND app_id = ?2")
        .bind(store::Blob{auth::bytes_of(hash)}, app)
        .run();
  });
  if (gone) tell_app(app);
  return gone;
}

Status Registry::revoke_all(std::string_view app) {
  return Statement(*database_, "DELETE FROM tokens WHERE app_id = ?1").bind(app).run();
}

Status Registry::sweep_tokens() {
  return write({}, [&]() -> Status {
    return Statement(*database_, "DELETE FROM tokens WHERE expires_at <= ?1").bind(now_ms()).run();
  });
}

}  // namespace sterna::registry
