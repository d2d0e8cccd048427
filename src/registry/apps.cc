#include "registry/registry.h"
#include "registry/rows.h"
#include "registry/write.h"
#include "store/statement.h"

namespace sterna::registry {

using store::Statement;

namespace {

constexpr std::string_view kSelect =
    "SELECT a.id, s.name, a.spec, a.secret, a.created_at, a.updated_at"
    " FROM apps a LEFT JOIN spaces s ON s.id = a.space_id ";

Result<App> read_app(const Statement& row) {
  const Result<api::Json> json = api::parse_json(row.text(2));
  api::Validated<api::AppSpec> spec = json ? api::parse_app(*json) : api::parse_app({});
  if (!spec || row.blob(3).size() != auth::Digest().size()) {
    return fail(Code::kInternal, Component::kRegistry, "registry_damaged",
                "the registry holds an app that cannot be read");
  }
  return App{.id = row.text(0),
             .space = row.text(1),
             .spec = std::move(*spec),
             .secret = auth::digest_of_bytes(row.blob(3)),
             .created_at = from_ms(row.integer(4)),
             .updated_at = from_ms(row.integer(5))};
}

std::string stored_spec(const api::AppSpec& spec) {
  return api::dump(api::to_json(spec));
}

std::unexpected<Error> no_app(std::string_view app) {
  return fail(Code::kNotFound, Component::kRegistry, "app_not_found",
              "there is no app \"" + std::string(app.substr(0, 100)) + "\" here");
}

// What tokens were issued for: when it changes, they are revoked.
bool may_the_same(const api::AppSpec& a, const api::AppSpec& b) {
  return a.scopes == b.scopes && a.functions == b.functions && a.expires_at == b.expires_at &&
         a.disabled == b.disabled;
}

// A slower one may be locked out for as long as it has set itself.
bool may_ask_often(const RateLimit& limit) {
  constexpr double kRequests = 1;              // a second
  constexpr std::int64_t kBytes = 64U << 10U;  // a second, of the calls that it makes
  const double requests = limit.requests_per_second.value_or(0);
  const std::int64_t bytes = limit.bytes_per_second.value_or(0);
  return (requests == 0 || requests >= kRequests) && (bytes == 0 || bytes >= kBytes);  // 0: no limit
}

}  // namespace

auth::Grant grant_of(const App& app) {
  auth::Grant grant{.app = app.id,
                    .app_name = app.spec.name,
                    .space = app.space,
                    .scopes = {},
                    .functions = app.spec.functions,
                    .expires_at = app.spec.expires_at,
                    .rate_limit = app.spec.rate_limit};
  for (const std::string& scope : app.spec.scopes) grant.scopes = grant.scopes | auth::scope_named(scope);
  return grant;
}

bool is_administrator(const App& app) {
  return app.space.empty() && !app.spec.disabled && !app.spec.expires_at && app.spec.functions.empty() &&
         may_ask_often(app.spec.rate_limit) && grant_of(app).scopes == auth::ScopeSet::all();
}

// nullopt for the server, which has no space.
Result<std::optional<std::string>> Registry::owner_id(std::string_view space) {
  if (space.empty()) return std::nullopt;
  Result<std::string> id = space_id(space);
  if (!id) return std::unexpected(id.error());
  return std::move(*id);
}

Result<App> Registry::load_app(std::string_view space, std::string_view app) {
  static const std::string kSql =
      std::string(kSelect) + "WHERE a.space_id IS ?1 AND (a.id = ?2 OR a.name = ?2)";
  const Result<std::optional<std::string>> owner = owner_id(space);
  if (!owner) return std::unexpected(owner.error());
  Statement query(*database_, kSql);
  const Result<bool> row = query.bind(*owner, app).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return no_app(app);
  return read_app(query);
}

Result<App> Registry::load_app(std::string_view id) {
  static const std::string kSql = std::string(kSelect) + "WHERE a.id = ?1";
  Statement query(*database_, kSql);
  const Result<bool> row = query.bind(id).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return no_app(id);
  return read_app(query);
}

Result<bool> Registry::is_last_administrator(const App& app) {
  static const std::string kSql = std::string(kSelect) + "WHERE a.space_id IS NULL AND a.id <> ?1";
  if (!is_administrator(app)) return false;
  Statement query(*database_, kSql);
  query.bind(app.id);
  while (true) {
    const Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return true;
    const Result<App> other = read_app(query);
    if (!other) return std::unexpected(other.error());
    if (is_administrator(*other)) return false;
  }
}

Status Registry::check_not_last_administrator(const App& app) {
  const Result<bool> last = is_last_administrator(app);
  if (!last) return std::unexpected(last.error());
  if (!*last) return {};
  return fail(
      Code::kConflict, Component::kRegistry, "last_administrator",
      "nobody else could administer the server: make another app of the server with all scopes first");
}

Result<bool> Registry::has_administrator() {
  const std::scoped_lock lock(mutex_);
  static const std::string kSql = std::string(kSelect) + "WHERE a.space_id IS NULL";
  Statement query(*database_, kSql);
  while (true) {
    const Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return false;
    const Result<App> app = read_app(query);
    if (!app) return std::unexpected(app.error());
    if (is_administrator(*app)) return true;
  }
}

Result<App> Registry::create_app(std::string_view space, const api::AppSpec& spec,
                                 const auth::Digest& secret) {
  Result<App> made = write({}, [&]() -> Result<App> {
    const Result<std::optional<std::string>> owner = owner_id(space);
    if (!owner) return std::unexpected(owner.error());
    Statement count(*database_, "SELECT count(*) FROM apps WHERE space_id IS ?1");
    const Result<bool> row = count.bind(*owner).step();
    if (!row) return std::unexpected(row.error());
    if (count.integer(0) >= kMaxAppsPerSpace) {
      return fail(Code::kExhausted, Component::kRegistry, "too_many_apps",
                  "there are " + std::to_string(kMaxAppsPerSpace) + " apps here, which is the limit");
    }
    if (*owner) {
      if (const Status room = check_one_more(space, **owner, {"apps", &api::Quota::apps}); !room)
        return std::unexpected(room.error());
    }
    const std::string id = ids_.next();
    const Status inserted =
        Statement(*database_,
                  "INSERT INTO apps(id, space_id, name, spec, secret, created_at, updated_at)"
                  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?6)")
            .bind(id, *owner, spec.name, stored_spec(spec), store::Blob{auth::bytes_of(secret)}, now_ms())
            .run();
    if (!inserted && inserted.error().code == Code::kConflict) {
      return fail(Code::kConflict, Component::kRegistry, "app_exists",
                  "there already is an app \"" + spec.name + "\" here");
    }
    if (!inserted) return std::unexpected(inserted.error());
    return load_app(space, id);
  });
  if (made) tell_app(made->id);
  return made;
}

Result<App> Registry::find_app(std::string_view space, std::string_view app) {
  const std::scoped_lock lock(mutex_);
  return load_app(space, app);
}

Result<Listed<App>> Registry::list_apps(std::string_view space, const api::Page& page) {
  static const std::string kSql =
      std::string(kSelect) + "WHERE a.space_id IS ?1 AND a.name > ?2 ORDER BY a.name LIMIT ?3";
  const std::scoped_lock lock(mutex_);
  const Result<std::optional<std::string>> owner = owner_id(space);
  if (!owner) return std::unexpected(owner.error());
  Statement query(*database_, kSql);
  query.bind(*owner, page.after, page.limit + 1);
  Listed<App> listed;
  while (true) {
    const Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return listed;
    if (listed.items.size() == page.limit) {
      listed.next_cursor = api::make_cursor(listed.items.back().spec.name);
      return listed;
    }
    Result<App> app = read_app(query);
    if (!app) return std::unexpected(app.error());
    listed.items.push_back(std::move(*app));
  }
}

Result<App> Registry::update_app(std::string_view space, std::string_view app, const api::AppSpec& spec) {
  Result<App> changed = write({}, [&]() -> Result<App> {
    const Result<App> before = load_app(space, app);
    if (!before) return before;
    App after = *before;
    after.spec = spec;
    if (!is_administrator(after)) {
      if (const Status safe = check_not_last_administrator(*before); !safe)
        return std::unexpected(safe.error());
    }
    const Status updated =
        Statement(*database_, "UPDATE apps SET name = ?2, spec = ?3, updated_at = ?4 WHERE id = ?1")
            .bind(before->id, spec.name, stored_spec(spec), now_ms())
            .run();
    if (!updated && updated.error().code == Code::kConflict) {
      return fail(Code::kConflict, Component::kRegistry, "app_exists",
                  "there already is an app \"" + spec.name + "\" here");
    }
    if (!updated) return std::unexpected(updated.error());
    if (!may_the_same(before->spec, spec)) {
      if (const Status gone = revoke_all(before->id); !gone) return std::unexpected(gone.error());
    }
    return load_app(space, before->id);
  });
  if (changed) tell_app(changed->id);
  return changed;
}

Result<App> Registry::rotate_app(std::string_view space, std::string_view app, const auth::Digest& secret) {
  Result<App> changed = write({}, [&]() -> Result<App> {
    const Result<App> before = load_app(space, app);
    if (!before) return before;
    const Status updated = Statement(*database_, "UPDATE apps SET secret = ?2, updated_at = ?3 WHERE id = ?1")
                               .bind(before->id, store::Blob{auth::bytes_of(secret)}, now_ms())
                               .run();
    if (!updated) return std::unexpected(updated.error());
    if (const Status gone = revoke_all(before->id); !gone) return std::unexpected(gone.error());
    return load_app(space, before->id);
  });
  if (changed) tell_app(changed->id);
  return changed;
}

Status Registry::delete_app(std::string_view space, std::string_view app) {
  std::string id;
  const Status gone = write({}, [&]() -> Status {
    const Result<App> before = load_app(space, app);
    if (!before) return std::unexpected(before.error());
    if (const Status safe = check_not_last_administrator(*before); !safe) return safe;
    id = before->id;
    return Statement(*database_, "DELETE FROM apps WHERE id = ?1").bind(id).run();
  });
  if (gone) tell_app(id);
  return gone;
}

Result<std::vector<AppTokens>> Registry::app_snapshot() {
  const std::scoped_lock lock(mutex_);
  std::vector<App> apps;
  {
    Statement query(*database_, kSelect);
    while (true) {
      const Result<bool> row = query.step();
      if (!row) return std::unexpected(row.error());
      if (!*row) break;
      Result<App> app = read_app(query);
      if (!app) return std::unexpected(app.error());
      apps.push_back(std::move(*app));
    }
  }
  std::vector<AppTokens> all;
  for (const App& app : apps) {
    Result<AppTokens> one = with_tokens(app);
    if (!one) return std::unexpected(one.error());
    all.push_back(std::move(*one));
  }
  return all;
}

Result<AppTokens> Registry::app_tokens(std::string_view id) {
  const std::scoped_lock lock(mutex_);
  const Result<App> app = load_app(id);
  if (!app) return std::unexpected(app.error());
  return with_tokens(*app);
}

void Registry::tell_app(const std::string& id) const {
  tell(Change::Kind::kAppChanged, {.id = id, .space = {}, .name = {}});
}

}  // namespace sterna::registry
