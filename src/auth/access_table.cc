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
  Tokens before;
  if (const auto known = apps_.find(app.grant.app); known != apps_.end()) {
    app.grant.meter = known->second.grant->meter;
    before = take(known);
  }
  set_limit(app.grant.meter, app.grant.rate_limit, now);
  const std::string id = app.grant.app;
  App& entry = apps_[id];
  entry.grant = std::make_shared<const Grant>(std::move(app.grant));
  entry.secret = app.secret;
  entry.disabled = app.disabled;
  for (const TokenAccess& token : tokens) {
    tokens_[token.hash] = {.grant = grant_of(token, *entry.grant, before), .expires_at = token.expires_at};
    entry.tokens.push_back(token.hash);
  }
  withdraw(before);
}

// The one it had, as long as it says the same: what waits with that goes on.
GrantPtr AccessTable::grant_of(const TokenAccess& token, const Grant& app, Tokens& before) {
  Grant made = app;
  made.scopes = token.scopes;
  const auto known = before.find(token.hash);
  if (known != before.end() && known->second.grant->says_the_same(made))
    return before.extract(known).mapped().grant;
  made.withdrawn = std::make_shared<std::atomic<bool>>(false);
  return std::make_shared<const Grant>(std::move(made));
}

AccessTable::Tokens AccessTable::take(Apps::iterator app) {
  forget_recent();
  Tokens taken;
  for (const Digest& token : app->second.tokens) taken.insert(tokens_.extract(token));
  apps_.erase(app);
  return taken;
}

void AccessTable::withdraw(const Tokens& tokens) {
  for (const auto& [hash, token] : tokens) *token.grant->withdrawn = true;
}

void AccessTable::remove(const std::string& app) {
  if (const auto found = apps_.find(app); found != apps_.end()) withdraw(take(found));
}

void AccessTable::remove_space(std::string_view space) {
  for (auto app = apps_.begin(); app != apps_.end();) {
    const auto here = app++;
    if (here->second.grant->space == space) withdraw(take(here));
  }
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
