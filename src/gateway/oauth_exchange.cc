#include "gateway/oauth_exchange.h"

#include "api/json.h"
#include "api/problem.h"
#include "base/log.h"
#include "gateway/management_exchange.h"
#include "gateway/rates.h"

namespace sterna::gateway {
namespace {

OauthInput input_of(const net::HttpRequest& request, std::string_view query, std::string_view body) {
  OauthInput input{.query = query, .content_type = {}, .authorization = {}, .body = body};
  for (const net::Header& header : request.headers) {
    if (net::equal_ignoring_case(header.name, "content-type")) input.content_type = header.value;
    if (header.known == net::KnownHeader::kAuthorization) input.authorization.push_back(header.value);
  }
  return input;
}

// What the app may ask for of what it asks for.
std::expected<auth::ScopeSet, OauthError> scopes_for(const auth::Grant& app,
                                                     const std::optional<std::string>& scope) {
  const auto invalid_scope = [](std::string description) {
    return std::unexpected(
        OauthError{.status = 400, .error = "invalid_scope", .description = std::move(description)});
  };
  if (!scope) return app.scopes;
  const auto wanted = auth::parse_scopes(*scope);
  if (!wanted) return invalid_scope(wanted.error().detail);
  if (!app.scopes.contains(*wanted))
    return invalid_scope("the app has not been granted " + wanted->without(app.scopes).text());
  return *wanted;
}

void answer_guessing(net::HttpConnection& connection, const OauthParts& parts, Duration wait) {
  const TooFast reason{.limit = "bad_secrets",
                       .detail = "too many bad client secrets came from this address",
                       .wait = wait,
                       .component = Component::kAuth};
  parts.refusals.count({}, reason.limit);
  answer_too_fast(connection, reason, {});
}

}  // namespace

bool is_guessing(net::HttpConnection& connection, const OauthParts& parts, MonotonicTime now) {
  const Duration wait = parts.bad_secrets.wait(connection.client(), now);
  if (wait == Duration::zero()) return false;
  answer_guessing(connection, parts, wait);
  return true;
}

void OauthExchange::give_token(net::Loop& loop, net::Background& thread, const OauthParts& parts,
                               net::HttpConnection& connection, std::string_view query) {
  const auto exchange = std::make_shared<OauthExchange>(loop, thread, parts, connection);
  const auto body = connection.body().bytes();
  if (!body) return exchange->refuse(body.error());
  const auto request = parse_token_request(input_of(connection.request(), query, *body));
  return request ? exchange->give(*request) : exchange->refuse(request.error());
}

void OauthExchange::revoke(net::Loop& loop, net::Background& thread, const OauthParts& parts,
                           net::HttpConnection& connection, std::string_view query) {
  const auto exchange = std::make_shared<OauthExchange>(loop, thread, parts, connection);
  const auto body = connection.body().bytes();
  if (!body) return exchange->refuse(body.error());
  const auto request = parse_revoke_request(input_of(connection.request(), query, *body));
  return request ? exchange->revoke(*request) : exchange->refuse(request.error());
}

// Each token is written to disk, so asking for them counts as any other request of the app.
auth::GrantPtr OauthExchange::authenticate(const ClientCredentials& client) {
  // Others of the address may have failed since the head came, which is_guessing saw.
  auto checked = parts_.bad_secrets.guard(connection_->client(), loop_.now(), [&] {
    return parts_.table.authenticate(client.id, client.secret, loop_.clock().wall());
  });
  if (!checked) {
    answer_guessing(*connection_, parts_, checked.error());
    return nullptr;
  }
  auth::GrantPtr app = std::move(*checked);
  if (!app) {
    refuse(invalid_client());
    return nullptr;
  }
  if (!app->meter) return app;
  const auto too_fast = count_request({.app = app->meter}, loop_.now());
  if (!too_fast) return app;
  parts_.refusals.count(app->space, too_fast->limit);
  answer_too_fast(*connection_, *too_fast, {});
  return nullptr;
}

void OauthExchange::give(const TokenRequest& request) {
  const WallTime now = loop_.clock().wall();
  const auth::GrantPtr app = authenticate(request.client);
  if (!app) return;
  const auto scopes = scopes_for(*app, request.scope);
  if (!scopes) return refuse(scopes.error());
  auto lifetime = std::chrono::duration_cast<std::chrono::milliseconds>(parts_.token_lifetime);
  if (app->expires_at) lifetime = std::min(lifetime, *app->expires_at - now);
  const std::string token = auth::new_token();
  const auth::TokenAccess access{
      .hash = auth::Hasher().hash(token), .scopes = *scopes, .expires_at = now + lifetime};
  const api::OrderedJson json = {{"access_token", token},
                                 {"token_type", "Bearer"},
                                 {"expires_in", std::chrono::ceil<std::chrono::seconds>(lifetime).count()},
                                 {"scope", scopes->text()}};
  change(
      lane_of(app.get()),
      [id = app->app, secret = auth::Hasher().hash(request.client.secret),
       access](registry::Registry& registry) { return registry.issue_token(id, secret, access); },
      api::dump(json) + "\n");
}

// A token that is unknown is as good as revoked (RFC 7009 2.2).
void OauthExchange::revoke(const RevokeRequest& request) {
  const WallTime now = loop_.clock().wall();
  const auth::GrantPtr app = authenticate(request.client);
  if (!app) return;
  const auth::GrantPtr& found = parts_.table.find(request.token, now);
  if (!found) return answer(200, {});
  if (found->app != app->app) {
    return refuse(OauthError{.status = 400,
                             .error = "unauthorized_client",
                             .description = "the token was given to another client"});
  }
  change(lane_of(app.get()),
         [id = app->app, hash = auth::Hasher().hash(request.token)](registry::Registry& registry) {
           return registry.revoke_token(id, hash);
         },
         {});
}

void OauthExchange::change(const std::string& lane, std::function<Status(registry::Registry&)> change,
                           std::string body) {
  if (!has_room(thread_, lane)) {
    return refuse(Error{Code::kUnavailable, Component::kAuth, "too_busy",
                        "too many requests wait; try again in a moment"});
  }
  connection_->observe(this);
  thread_.run(lane,
              [self = shared_from_this(), change = std::move(change), body = std::move(body)]() mutable {
                Status done = change(self->parts_.registry);
                // What the change has told the loop comes before this.
                self->loop_.post([self, done = std::move(done), body = std::move(body)] {
                  if (self->connection_ == nullptr) return;
                  self->connection_->observe(nullptr);
                  return done ? self->answer(200, body) : self->refuse(done.error());
                });
              });
}

void OauthExchange::refuse(const Error& error) {
  if (error.reason == "app_not_usable") return refuse(invalid_client());
  const int status = api::http_status(error);
  const bool ours = status >= 500 && error.code != Code::kUnavailable;
  if (ours) log::error("cannot record a token", {{"error", std::string_view(error.detail)}});
  connection_->begin(static_cast<unsigned>(status));
  connection_->header("Content-Type", api::kProblemType);
  if (error.code == Code::kUnavailable) connection_->header("Retry-After", "1");
  api::Problem problem = api::to_problem(error);
  if (ours) problem.detail = "the server could not do this; its log says why";
  connection_->send(api::to_json(problem));
}

void OauthExchange::refuse(const OauthError& error) {
  connection_->begin(error.status);
  connection_->header("Content-Type", "application/json");
  connection_->header("Cache-Control", "no-store");
  if (error.status == 401)
    connection_->header("WWW-Authenticate", "Basic realm=\"sterna\", charset=\"UTF-8\"");
  const api::OrderedJson json = {{"error", error.error}, {"error_description", error.description}};
  connection_->send(api::dump(json) + "\n");
}

void OauthExchange::answer(unsigned status, std::string_view body) {
  connection_->begin(status);
  if (!body.empty()) connection_->header("Content-Type", "application/json");
  connection_->header("Cache-Control", "no-store");
  connection_->header("Pragma", "no-cache");
  connection_->send(body);
}

}  // namespace sterna::gateway
