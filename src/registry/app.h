// What the registry knows about an app, as values.
#pragma once

#include <string>
#include <vector>

#include "api/app.h"
#include "auth/access_table.h"
#include "base/clock.h"

namespace sterna::registry {

struct App {
  std::string id;     // the client id
  std::string space;  // empty: an app of the server, which reaches all spaces
  api::AppSpec spec;
  auth::Digest secret{};  // of the client secret; the secret itself is not kept
  WallTime created_at;
  WallTime updated_at;
};

// What it may do. Scopes that this program does not know are none.
auth::Grant grant_of(const App& app);

// Whether it can do everything everywhere, for ever, and often enough: somebody must be able to.
bool is_administrator(const App& app);

// An app and its tokens that have not expired, as the access table takes them.
struct AppTokens {
  auth::AppAccess app;
  std::vector<auth::TokenAccess> tokens;
};

}  // namespace sterna::registry
