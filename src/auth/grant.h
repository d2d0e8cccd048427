// Who a request comes from and what that one may do; whether that is enough is decided here, without I/O.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/scope.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/rate_limit.h"

namespace sterna::auth {

// Of an app, or of one of its tokens, whose scopes may be fewer. Constant once it is shared, so that any
// thread may read it, but for what `withdrawn` points to.
struct Grant {
  std::string app;       // id; empty: access is not checked (`--auth none`)
  std::string app_name;  // for the audit log and messages
  std::string space;     // empty: every space (an app of the server)
  ScopeSet scopes;
  std::vector<std::string> functions;  // sorted names; empty: every function
  std::optional<WallTime> expires_at;  // of the app
  RateLimit rate_limit{};              // of the app
  // Of all tokens of the app; null: it has no limit. Shared: requests under way outlive the app. Loop only.
  std::shared_ptr<Meter> meter{};
  // Becomes true when this is revoked or changed: who has waited with it asks once more. Null: it never is.
  std::shared_ptr<std::atomic<bool>> withdrawn{};

  bool is_withdrawn() const { return withdrawn != nullptr && *withdrawn; }
  // Whether nothing of it is another but when it is withdrawn.
  bool says_the_same(const Grant& other) const;
  bool reaches_all_spaces() const { return space.empty(); }
  bool reaches_space(std::string_view name) const { return space.empty() || space == name; }
  bool reaches_function(std::string_view name) const;
  bool reaches_all_functions() const { return functions.empty(); }
  // Whether who has this may give `other` away: nothing in it goes further. How fast apps of a space may be,
  // those of the server decide.
  bool contains(const Grant& other) const;
};
using GrantPtr = std::shared_ptr<const Grant>;

// For servers that let everyone in: all scopes in all spaces.
GrantPtr unchecked_grant();

// What a request needs. Views borrow.
struct Need {
  ScopeSet any_of = {};            // one of them is enough; empty: any token will do
  std::string_view space = {};     // empty: of none
  std::string_view function = {};  // empty: of none
  bool whole_server = false;       // only for apps of the server
  bool all_functions = false;      // it concerns every function of the space: not for apps bound to some
};

// Success, or denied: `administrator_only`, `space_not_granted`, `function_not_granted`,
// `insufficient_scope`. Depends on nothing but names, so the answer does not tell what exists.
Status check(const Grant& grant, const Need& need);

}  // namespace sterna::auth
