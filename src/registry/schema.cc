#include "registry/schema.h"

#include <array>

namespace sterna::registry {
namespace {

// Times are milliseconds since 1970. A version's spec and bundle never change; functions.active is NULL until
// a version has been loaded.
constexpr std::string_view kTables = R"sql(
CREATE TABLE spaces(
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  spec TEXT NOT NULL,
  created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE functions(
  id TEXT PRIMARY KEY,
  space_id TEXT NOT NULL REFERENCES spaces(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  stopped INTEGER NOT NULL DEFAULT 0,
  crash_reason TEXT NOT NULL DEFAULT '',
  newest INTEGER NOT NULL,
  active INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE(space_id, name)
) WITHOUT ROWID;

CREATE TABLE versions(
  function_id TEXT NOT NULL REFERENCES functions(id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  spec TEXT NOT NULL,
  bundle TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  handler_async INTEGER,
  runtime TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL,
  PRIMARY KEY(function_id, number)
) WITHOUT ROWID;

CREATE INDEX versions_bundle ON versions(bundle);
)sql";

// Spaces from before have no secret yet: the registry makes one when it opens.
constexpr std::string_view kSigningSecrets = R"sql(
ALTER TABLE spaces ADD COLUMN secret TEXT NOT NULL DEFAULT '';
ALTER TABLE spaces ADD COLUMN previous_secret TEXT NOT NULL DEFAULT '';
ALTER TABLE spaces ADD COLUMN previous_until INTEGER NOT NULL DEFAULT 0;
)sql";

// `sealed` is what SecretBox made of the value, bound to the space's id and the name.
constexpr std::string_view kSecrets = R"sql(
CREATE TABLE secrets(
  space_id TEXT NOT NULL REFERENCES spaces(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY(space_id, name)
) WITHOUT ROWID;
)sql";

// traffic_percent is the share of the calls that a version gets once it has been loaded; functions.canary the
// version that gets less than all.
constexpr std::string_view kTraffic = R"sql(
ALTER TABLE versions ADD COLUMN traffic_percent INTEGER NOT NULL DEFAULT 100;
ALTER TABLE functions ADD COLUMN canary INTEGER;
)sql";

// What the version's build made: '' when that is not known yet (registry/function.h).
constexpr std::string_view kLayers = R"sql(
ALTER TABLE versions ADD COLUMN layer TEXT NOT NULL DEFAULT '';
)sql";

// Of a space, or of the server (NULL). `secret` and `hash` are SHA-256 of what only the client has.
constexpr std::string_view kApps = R"sql(
CREATE TABLE apps(
  id TEXT PRIMARY KEY,
  space_id TEXT REFERENCES spaces(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  secret BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE UNIQUE INDEX apps_name ON apps(ifnull(space_id, ''), name);
CREATE INDEX apps_space ON apps(space_id);

CREATE TABLE tokens(
  hash BLOB PRIMARY KEY,
  app_id TEXT NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX tokens_app ON tokens(app_id, expires_at);
)sql";

constexpr std::array kSteps = {kTables, kSigningSecrets, kSecrets, kTraffic, kLayers, kApps};

}  // namespace

std::span<const std::string_view> schema_steps() {
  return kSteps;
}

}  // namespace sterna::registry
