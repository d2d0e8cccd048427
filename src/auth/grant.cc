#include "auth/grant.h"

#include <algorithm>
#include <tuple>

namespace sterna::auth {
namespace {

std::unexpected<Error> denied(std::string reason, std::string detail) {
  return fail(Code::kDenied, Component::kAuth, std::move(reason), std::move(detail));
}

std::string either_of(ScopeSet scopes) {
  std::string text;
  for (const std::string& name : scopes.names()) text.append(text.empty() ? "" : " or ").append(name);
  return text;
}

}  // namespace

bool Grant::reaches_function(std::string_view name) const {
  return functions.empty() || std::ranges::binary_search(functions, name);
}

bool Grant::says_the_same(const Grant& other) const {
  const auto all = [](const Grant& grant) {
    return std::tie(grant.app, grant.app_name, grant.space, grant.scopes, grant.functions, grant.expires_at,
                    grant.rate_limit, grant.meter);
  };
  return all(*this) == all(other);
}

bool Grant::contains(const Grant& other) const {
  const bool same_space = space.empty() || space == other.space;
  const bool same_functions =
      functions.empty() || (!other.functions.empty() && std::ranges::includes(functions, other.functions));
  const bool same_time = !expires_at || (other.expires_at && *other.expires_at <= *expires_at);
  const bool same_rate = reaches_all_spaces() || sterna::contains(rate_limit, other.rate_limit);
  return same_space && same_functions && same_time && same_rate && scopes.contains(other.scopes);
}

GrantPtr unchecked_grant() {
  return std::make_shared<const Grant>(Grant{.app = {},
                                             .app_name = {},
                                             .space = {},
                                             .scopes = ScopeSet::all(),
                                             .functions = {},
                                             .expires_at = std::nullopt});
}

Status check(const Grant& grant, const Need& need) {
  if (need.whole_server && !grant.reaches_all_spaces()) {
    return denied(
        "administrator_only",
        "this is for apps of the server; the token's app belongs to the space \"" + grant.space + "\"");
  }
  if (!need.space.empty() && !grant.reaches_space(need.space)) {
    return denied("space_not_granted", "the token is for the space \"" + grant.space +
                                           "\" only; use a token of an app of the space that you mean");
  }
  if (!need.any_of.empty() && !grant.scopes.has_any_of(need.any_of)) {
    return denied("insufficient_scope",
                  "the token lacks the scope " + either_of(need.any_of) +
                      "; ask for a token with it, or let an administrator grant it to the app");
  }
  if (need.all_functions && !grant.reaches_all_functions()) {
    return denied(
        "function_not_granted",
        "this concerns every function of the space, and the token's app is bound to some; use an app "
        "that is bound to none");
  }
  if (!need.function.empty() && !grant.reaches_function(need.function)) {
    return denied("function_not_granted",
                  "the token's app is bound to other functions; an administrator can change that");
  }
  return {};
}

}  // namespace sterna::auth
