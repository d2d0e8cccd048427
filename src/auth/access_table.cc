#include "auth/access_table.h"

#include <cstring>

namespace sterna::auth {
namespace {

const GrantPtr kNobody;

bool is_over(const std::optional<WallTime>& end, WallTime now) {
  return end && *end <= now;
}

}  // namespace

// Its bytes are as good as random already.
std::size_t AccessTable::DigestHash::operator()(const Digest& digest) const {
  std::size_t value = 0;
  std::memcpy(&value, digest.data(), sizeof value);
  return value;
}

void AccessTable::set(AppAccess app, const std::vector<TokenAccess>& tokens, MonotonicTime now) {
  app.grant.rate_limit = with_defaults(app.grant.rate_limit, default_rate_);
  if (const auto known = apps_.find(app.grant.app); known != apps_.end())
    app.grant.meter = known->second.grant->meter;
  set_limit(app.grant.meter, app.grant.rate_limit, now);
  remove(app.grant.app);
  const std::string id = app.grant.app;
  App& entry = apps_[id];
  entry.grant = std::make_shared<const Grant>(std::move(app.grant));
  entry.secret = app.secret;
  entry.disabled = app.disabled;
  for (const TokenAccess& token : tokens) {
    GrantPtr grant = entry.grant;
    if (token.scopes != grant->scopes) {
      Grant narrower = *grant;
      narrower.scopes = token.scopes;
      grant = std::make_shared<const Grant>(std::move(narrower));
    }
    tokens_[token.hash] = {.grant = std::move(grant), .expires_at = token.expires_at};
    entry.tokens.push_back(token.hash);
  }
}

AccessTable::Apps::iterator AccessTable::remove(Apps::iterator app) {
  forget_recent();
  for (const Digest& token : app->second.tokens) tokens_.erase(token);
  return apps_.erase(app);
}

void AccessTable::remove(const std::string& app) {
  if (const auto found = apps_.find(app); found != apps_.end()) remove(found);
}

void AccessTable::remove_space(std::string_view space) {
  for (auto app = apps_.begin(); app != apps_.end();)
    app = app->second.grant->space == space ? remove(app) : std::next(app);
}

const GrantPtr& AccessTable::find(std::string_view token, WallTime now) {
  if (token.size() > kMaxCredentialBytes) return kNobody;
  Recent& recent = recent_[std::hash<std::string_view>{}(token) % recent_.size()];
  if (recent.known == nullptr || !equal(recent.text, token)) {
    const auto found = tokens_.find(hasher_.hash(token));
    if (found == tokens_.end()) return kNobody;
    recent = {.text = std::string(token), .known = &found->second};
  }
  return recent.known->expires_at > now ? recent.known->grant : kNobody;
}

GrantPtr AccessTable::authenticate(const std::string& app, std::string_view secret, WallTime now) {
  if (secret.size() > kMaxCredentialBytes) return nullptr;
  const Digest digest = hasher_.hash(secret);  // for unknown apps too, so that both take as long
  const auto found = apps_.find(app);
  if (found == apps_.end() || !equal(digest, found->second.secret)) return nullptr;
  const App& entry = found->second;
  if (entry.disabled || is_over(entry.grant->expires_at, now)) return nullptr;
  return entry.grant;
}

void AccessTable::sweep(WallTime now) {
  forget_recent();
  for (auto& [id, app] : apps_) {
    std::erase_if(app.tokens, [&](const Digest& hash) {
      const auto token = tokens_.find(hash);
      if (token == tokens_.end() || token->second.expires_at > now) return false;
      tokens_.erase(token);
      return true;
    });
  }
}

}  // namespace sterna::auth
