// Spaces, functions and their versions, apps and their tokens, durable in SQLite.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/paging.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/ulid.h"
#include "registry/app.h"
#include "registry/function.h"
#include "registry/secret_box.h"
#include "store/database.h"

namespace sterna::registry {

inline constexpr std::int64_t kMaxSpaces = 10'000;
inline constexpr std::int64_t kMaxFunctionsPerSpace = 10'000;
inline constexpr std::int64_t kMaxSecretsPerSpace = 1000;
inline constexpr std::int64_t kMaxAppsPerSpace = 200;
inline constexpr std::int64_t kMaxTokensPerApp = 100;
inline constexpr std::size_t kMaxListedUsers = 100;  // of one secret, in answers
// How long callbacks are signed with the previous secret too.
inline constexpr std::chrono::hours kPreviousSecretHolds(24);
// How many versions of a function stay: the newest, and those that get calls when they are older.
inline constexpr std::int64_t kKeptVersions = 10;

// Which function: names can be given to another function later, ids never.
struct FunctionRef {
  std::string id;
  std::string space;
  std::string name;
};

// Told after each commit, on the thread that made the change, outside the registry's mutex. Two threads'
// changes may be told in another order than they were made: look the function up again by its id.
struct Change {
  enum class Kind : std::uint8_t {
    kChanged,
    kDeleted,
    kSpaceMade,
    kSpaceChanged,
    kSpaceDeleted,
    kAppChanged
  };
  Kind kind = Kind::kChanged;
  FunctionRef function;  // for spaces only `space` is set, for apps (changed or deleted) only `id`
};
using ChangeListener = std::function<void(const Change&)>;

// What a change left behind: hashes of bundles that no version uses any more.
using Orphans = std::vector<std::string>;

struct Saved {
  Function function;
  Orphans orphans;
};

template <class T>
struct Listed {
  std::vector<T> items;
  std::optional<std::string> next_cursor;
};

enum class Force : std::uint8_t { kNo, kYes };

// What a space has.
struct SpaceCounts {
  std::int64_t functions = 0;
  std::int64_t secrets = 0;
  std::int64_t apps = 0;
};

struct SavedSecret {
  Secret secret;
  bool is_new = false;
};

// What the space may have, and what is in the way: "it has 3 functions".
std::unexpected<Error> quota_exceeded(std::string_view what, std::int64_t limit, std::string_view used);

// Any thread; every call blocks on the disk, so none belongs on an event loop. Unknown names fail with
// not_found, reason `space_not_found`, `function_not_found` or `version_not_found`.
class Registry {
 public:
  // Opens or creates the database file (or ":memory:") and brings its schema up to date. Versions that were
  // building when the last server died are pending again. `clock` must outlive the registry.
  static Result<std::unique_ptr<Registry>> open(const std::string& path, const Clock& clock,
                                                std::int64_t kept_versions = kKeptVersions);

  // Call once, before the first change.
  void on_change(ChangeListener listener) { listener_ = std::move(listener); }

  // Quotas (quota.cc). What would be over one fails with conflict `quota_exceeded`.

  // Of spaces that have none of their own. Call before the first change.
  void set_default_quota(const api::Quota& quota) { default_quota_ = quota; }
  Result<api::Quota> quota_of(std::string_view space);  // with the defaults
  Result<SpaceCounts> count(std::string_view space);
  // Every bundle that a version of the space's functions uses.
  Result<std::vector<std::string>> bundles(std::string_view space);
  // Why the last change could not be written, when the disk was the reason; and a try that changes nothing.
  std::optional<Error> write_trouble() const { return database_->write_trouble(); }
  Status try_write();

  // Spaces (spaces.cc). `default` always exists and cannot be deleted: conflict `space_is_default`.
  Result<Space> create_space(
      const api::SpaceSpec& spec);                  // conflict `space_exists`; exhausted `too_many_spaces`
  Result<Space> find_space(std::string_view name);  // without a previous secret that holds no more
  Result<Listed<Space>> list_spaces(const api::Page& page);
  Result<Space> update_space(const api::SpaceSpec& spec);
  // Makes a new signing secret; the one before holds for kPreviousSecretHolds, older ones not any more.
  Result<Space> rotate_signing_secret(std::string_view name);
  // Conflict `space_not_empty` when it has functions and there is no force.
  Result<Orphans> delete_space(std::string_view name, Force force);

  // Functions (registry.cc).
  // Makes the function with version 1. An empty `bundle` means that the code comes later.
  // Fails with conflict `function_exists`, exhausted `too_many_functions`.
  Result<Function> create(std::string_view space, const api::FunctionSpec& spec, std::string_view bundle);
  Result<Function> find(std::string_view space, std::string_view name);
  Result<Function> find(std::string_view id);
  Result<Listed<Function>> list(std::string_view space, const api::Page& page);
  Result<Orphans> remove(std::string_view space, std::string_view name);
  Result<Function> stop(std::string_view space, std::string_view name);
  // Clears Stopped and a crash loop; a newest version that failed is pending again when nothing else runs.
  // Conflict `version_has_no_code` when no code has been sent yet.
  Result<Function> start(std::string_view space, std::string_view name);
  // Every function, for the route table at start.
  Result<std::vector<Function>> snapshot();
  // Every bundle that a version uses, and those of `hashes` that none uses.
  Result<std::vector<std::string>> bundles();
  Result<Orphans> unused_bundles(const std::vector<std::string>& hashes);
  // Every pair of bundle and layer that a version uses.
  Result<std::vector<std::pair<std::string, std::string>>> layers();

  // Versions (versions.cc).
  // Adds a pending version with this spec; `bundle` nullopt keeps the newest version's code. The name must be
  // the same. With less than all of the traffic the version becomes the canary beside the active one once it
  // has been loaded; it becomes the active one where there is none.
  Result<Saved> update(std::string_view space, std::string_view name, const api::FunctionSpec& spec,
                       const std::optional<std::string>& bundle, int traffic_percent = kAllTraffic);
  // Adds a version with the spec and the code of version `number`. Conflict `version_has_no_code` when it was
  // made before the first code was sent.
  Result<Saved> rollback(std::string_view space, std::string_view name, std::int64_t number);
  Result<Version> find_version(std::string_view space, std::string_view name, std::int64_t number);
  // Newest first; the cursor is the number of the last one.
  Result<Listed<Version>> list_versions(std::string_view space, std::string_view name, const api::Page& page);

  // Traffic (traffic.cc).
  // Gives version `number` `percent` (1 to 100) of the calls, the active one the others. With 100 it is the
  // active one; so a canary ends when the active one gets 100. Needs a version that has been loaded once:
  // conflict `version_not_loaded`, or `version_has_no_code`. Conflict `version_is_active` when the active one
  // is to get less than all.
  Result<Function> set_traffic(std::string_view space, std::string_view name, std::int64_t number,
                               int percent);

  // Secrets (secrets.cc). All fail with unavailable `secrets_locked` before unlock_secrets. A change is told
  // as a change of every function that uses the secret.

  // Takes the key that values are sealed with from its file, which is made when no secret is stored yet.
  // Fails like SecretBox::open, and with denied `secrets_key_wrong` when the key does not open what is
  // stored. Call once.
  Status unlock_secrets(const std::filesystem::path& key_file);
  // `name` and `value` have been checked (api/variable_name.h, api/secret.h). Answers it with all functions
  // that use it. Exhausted `too_many_secrets`.
  Result<SavedSecret> put_secret(std::string_view space, std::string_view name, std::string_view value);
  // With all functions that use it. Not_found `secret_not_found`.
  Result<Secret> find_secret(std::string_view space, std::string_view name);
  // Each with at most kMaxListedUsers.
  Result<Listed<Secret>> list_secrets(std::string_view space, const api::Page& page);
  // Conflict `secret_in_use` when functions use it and there is no force.
  Status delete_secret(std::string_view space, std::string_view name, Force force);
  // The indexes of those `names` that the space has no secret for.
  Result<std::vector<std::size_t>> missing_secrets(std::string_view space,
                                                   const std::vector<std::string>& names);
  // Fills function.secret_values. Names that have no secret any more are left out.
  Status add_secret_values(Function& function);

  // Apps (apps.cc): of a space, or of the server when `space` is empty. `app` is an id or a name; unknown
  // ones fail with not_found `app_not_found`. Every change is told as kAppChanged, and those of tokens too.

  // Conflict `app_exists`; exhausted `too_many_apps`.
  Result<App> create_app(std::string_view space, const api::AppSpec& spec, const auth::Digest& secret);
  Result<App> find_app(std::string_view space, std::string_view app);
  Result<Listed<App>> list_apps(std::string_view space, const api::Page& page);
  // Revokes the app's tokens when what it may do has changed. Conflict `app_exists`, or `last_administrator`
  // when nobody else could do everything any more.
  Result<App> update_app(std::string_view space, std::string_view app, const api::AppSpec& spec);
  // Another secret; tokens that were got with the old one are revoked.
  Result<App> rotate_app(std::string_view space, std::string_view app, const auth::Digest& secret);
  Status delete_app(std::string_view space, std::string_view app);  // conflict `last_administrator`
  Result<bool> has_administrator();
  Result<std::vector<AppTokens>> app_snapshot();
  Result<AppTokens> app_tokens(std::string_view id);

  // Tokens (tokens.cc).
  // `secret`: of the one that the client has shown. Denied `app_not_usable` when the app is gone, disabled,
  // or has another secret; unavailable `app_changed` when it may not have such a token any more. Of more than
  // kMaxTokensPerApp those that expire first are dropped.
  Status issue_token(const std::string& app, const auth::Digest& secret, const auth::TokenAccess& token);
  Status revoke_token(const std::string& app, const auth::Digest& hash);  // succeeds when there is none
  Status sweep_tokens();                                                  // drops those that have expired

  // For the loader and the pool (loading.cc). A version that is no longer the newest may still be told about.
  Status set_building(std::string_view id, std::int64_t version);
  // `version` has been loaded: it is the one that runs now, a crash loop is forgotten; or the canary beside
  // the active one, when it is to get less than all of the traffic. Conflict `version_superseded` when a
  // newer one is active.
  Status activate(std::string_view id, std::int64_t version, bool handler_async, std::string_view runtime);
  Status fail_version(std::string_view id, std::int64_t version, std::string_view reason);
  // The version is built (or needs no build: kNoLayer) and can be loaded.
  Status set_layer(std::string_view id, std::int64_t version, std::string_view layer);
  // The canary crashes again and again: the active version gets all calls. Does nothing when `version` is not
  // the canary.
  Status fail_canary(std::string_view id, std::int64_t version, std::string_view reason);
  // The active version crashes again and again / runs again. Does nothing when `version` is not the active
  // one: late news of the one before.
  Status set_failed(std::string_view id, std::int64_t version, std::string_view reason);
  Status set_running(std::string_view id, std::int64_t version);

 private:
  Registry(std::unique_ptr<store::Database> database, const Clock& clock, std::int64_t kept_versions);

  // Runs `body` in a transaction under the mutex; when it was committed, tells the listener about `function`.
  template <class Body>
  auto write(const FunctionRef& function, Body body) -> decltype(body());
  void tell(Change::Kind kind, const FunctionRef& function) const;
  void tell_app(const std::string& id) const;

  // The rest expects mutex_ to be held.
  Result<std::string> space_id(std::string_view space);
  Result<Space> load_space(std::string_view name);
  Result<api::Quota> load_quota(std::string_view space);
  // For a row of the table of that name.
  Status check_one_more(std::string_view space, std::string_view space_id, const api::QuotaField& field);
  // After a function with these limits has been written: for a replica of it, and the replicas that always
  // run.
  Status check_minimum(std::string_view space, const api::Limits& limits);
  Status make_missing_secrets();
  Status check_unlocked() const;
  Status check_secret_room(std::string_view space, std::string_view space_id);
  Result<Secret> load_secret(std::string_view space_id, std::string_view name);
  Result<std::vector<FunctionRef>> users_of(std::string_view space, std::string_view space_id,
                                            std::string_view name);
  Status add_users(std::string_view space_id, std::vector<Secret>& secrets, std::size_t most);
  Result<std::optional<std::string>> owner_id(std::string_view space);
  Result<App> load_app(std::string_view space, std::string_view app);
  Result<App> load_app(std::string_view id);
  Result<bool> is_last_administrator(const App& app);
  Status check_not_last_administrator(const App& app);
  Result<AppTokens> with_tokens(const App& app);
  Status check_may_issue(const std::string& id, const auth::Digest& secret, const auth::TokenAccess& token);
  Status revoke_all(std::string_view app);
  Result<FunctionRef> resolve(std::string_view space, std::string_view name);
  Result<FunctionRef> resolve(std::string_view id);
  Result<Function> load(std::string_view id);
  Result<Function> touch(std::string_view id);
  Status check_room(std::string_view space, std::string_view space_id);
  Status insert_version(std::string_view id, const Version& version);
  Result<Saved> add_version(const FunctionRef& function, Version version);
  Result<Saved> add_checked(const FunctionRef& function, Version version, const api::Limits& before);
  Result<Version> load_version(std::string_view id, std::int64_t number);
  Status make_active(std::string_view id, std::int64_t number);
  Status make_canary(std::string_view id, std::int64_t number, int percent);
  Result<Orphans> prune(std::string_view id);
  Result<Orphans> unused_of(const std::vector<std::string>& hashes);
  Result<std::vector<std::string>> bundles_of(std::string_view sql, std::string_view key);
  Status move_version(std::string_view id, std::int64_t number, VersionState to, std::string_view reason);
  std::int64_t now_ms() const { return clock_.wall().time_since_epoch().count(); }

  const Clock& clock_;
  const std::int64_t kept_versions_;
  ChangeListener listener_;
  std::mutex mutex_;
  std::unique_ptr<store::Database> database_;  // guarded by mutex_
  UlidGenerator ids_;                          // guarded by mutex_
  api::Quota default_quota_;                   // constant after set_default_quota
  std::optional<SecretBox> box_;               // constant after unlock_secrets
};

}  // namespace sterna::registry
