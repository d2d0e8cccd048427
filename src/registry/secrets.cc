#include <algorithm>
#include <limits>

#include "registry/registry.h"
#include "registry/rows.h"
#include "registry/write.h"
#include "store/statement.h"

namespace sterna::registry {

using store::Statement;

namespace {

// Every (secret, function) of a space; a WHERE on j.value may follow. Older versions do not count: going back
// to one asks for its secrets again.
constexpr std::string_view kUses =
    "SELECT DISTINCT j.value, f.name, f.id FROM functions f"
    " JOIN versions v ON v.function_id = f.id AND v.number IN (f.newest, f.active, f.canary)"
    " JOIN json_each(v.spec, '$.secrets') j WHERE f.space_id = ?1";

constexpr std::string_view kColumns = "SELECT name, created_at, updated_at FROM secrets WHERE space_id = ?1";

// A name has no line feed.
std::string binding_of(std::string_view space_id, std::string_view name) {
  return std::string(space_id) + "\n" + std::string(name);
}

Secret read_secret(const Statement& row) {
  return {.name = row.text(0),
          .created_at = from_ms(row.integer(1)),
          .updated_at = from_ms(row.integer(2)),
          .used_by = {}};
}

std::string list_names(const std::vector<FunctionRef>& functions) {
  constexpr std::size_t kShown = 5;
  std::string names;
  for (std::size_t i = 0; i < std::min(functions.size(), kShown); ++i)
    names += (i == 0 ? "" : ", ") + functions[i].name;
  if (functions.size() > kShown) names += " and " + std::to_string(functions.size() - kShown) + " more";
  return names;
}

}  // namespace

Status Registry::check_unlocked() const {
  if (box_) return {};
  return fail(Code::kUnavailable, Component::kRegistry, "secrets_locked",
              "this server has no key for secrets");
}

Status Registry::unlock_secrets(const std::filesystem::path& key_file) {
  const std::scoped_lock lock(mutex_);
  STERNA_ASSERT(!box_);
  Statement first(*database_, "SELECT space_id, name, sealed FROM secrets LIMIT 1");
  const Result<bool> stored = first.step();
  if (!stored) return std::unexpected(stored.error());
  Result<SecretBox> box =
      SecretBox::open(key_file, *stored ? SecretBox::MissingKey::kNeed : SecretBox::MissingKey::kMake);
  if (!box) return std::unexpected(box.error());
  // All of them are sealed with one key.
  if (*stored && !box->unseal(first.blob(2), binding_of(first.text(0), first.text(1)))) {
    return fail(Code::kDenied, Component::kRegistry, "secrets_key_wrong",
                "the key in " + key_file.string() +
                    " does not open the secrets in the database: put back the key file that belongs to it");
  }
  box_.emplace(std::move(*box));
  return {};
}

Status Registry::check_secret_room(std::string_view space, std::string_view space_id) {
  Statement query(*database_, "SELECT count(*) FROM secrets WHERE space_id = ?1");
  const Result<bool> row = query.bind(space_id).step();
  if (!row) return std::unexpected(row.error());
  if (query.integer(0) < kMaxSecretsPerSpace)
    return check_one_more(space, space_id, {"secrets", &api::Quota::secrets});
  return fail(Code::kExhausted, Component::kRegistry, "too_many_secrets",
              "the space has " + std::to_string(kMaxSecretsPerSpace) + " secrets, which is the limit");
}

Result<Secret> Registry::load_secret(std::string_view space_id, std::string_view name) {
  static const std::string kSql = std::string(kColumns) + " AND name = ?2";
  Statement query(*database_, kSql);
  const Result<bool> row = query.bind(space_id, name).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return no_secret(name);
  return read_secret(query);
}

Result<std::vector<FunctionRef>> Registry::users_of(std::string_view space, std::string_view space_id,
                                                    std::string_view name) {
  static const std::string kSql = std::string(kUses) + " AND j.value = ?2 ORDER BY f.name";
  Statement query(*database_, kSql);
  query.bind(space_id, name);
  std::vector<FunctionRef> users;
  while (true) {
    const Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return users;
    users.push_back({query.text(2), std::string(space), query.text(1)});
  }
}

// `secrets` are in the order of their names. At most `most` for each.
Status Registry::add_users(std::string_view space_id, std::vector<Secret>& secrets, std::size_t most) {
  static const std::string kSql = std::string(kUses) + " ORDER BY f.name";
  Statement query(*database_, kSql);
  query.bind(space_id);
  while (true) {
    const Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    const auto secret = std::ranges::lower_bound(secrets, query.text(0), {}, &Secret::name);
    if (secret == secrets.end() || secret->name != query.text(0)) continue;
    if (secret->used_by.size() < most) secret->used_by.push_back(query.text(1));
  }
}

Result<SavedSecret> Registry::put_secret(std::string_view space, std::string_view name,
                                         std::string_view value) {
  if (const Status unlocked = check_unlocked(); !unlocked) return std::unexpected(unlocked.error());
  std::vector<FunctionRef> users;
  Result<SavedSecret> saved = write({}, [&]() -> Result<SavedSecret> {
    const Result<std::string> in = space_id(space);
    if (!in) return std::unexpected(in.error());
    const Result<Secret> before = load_secret(*in, name);
    if (!before && before.error().code != Code::kNotFound) return std::unexpected(before.error());
    if (!before) {
      if (const Status room = check_secret_room(space, *in); !room) return std::unexpected(room.error());
    }
    const std::string sealed = box_->seal(value, binding_of(*in, name));
    const Status put = Statement(*database_,
                                 "INSERT INTO secrets(space_id, name, created_at, updated_at, sealed)"
                                 " VALUES(?1, ?2, ?3, ?3, ?4) ON CONFLICT DO UPDATE"
                                 " SET updated_at = excluded.updated_at, sealed = excluded.sealed")
                           .bind(*in, name, now_ms(), store::Blob{sealed})
                           .run();
    if (!put) return std::unexpected(put.error());
    Result<std::vector<FunctionRef>> using_it = users_of(space, *in, name);
    if (!using_it) return std::unexpected(using_it.error());
    users = std::move(*using_it);
    Result<Secret> after = load_secret(*in, name);
    if (!after) return std::unexpected(after.error());
    for (const FunctionRef& user : users) after->used_by.push_back(user.name);
    return SavedSecret{.secret = std::move(*after), .is_new = !before};
  });
  if (saved) {
    for (const FunctionRef& user : users) tell(Change::Kind::kChanged, user);
  }
  return saved;
}

Result<Secret> Registry::find_secret(std::string_view space, std::string_view name) {
  if (const Status unlocked = check_unlocked(); !unlocked) return std::unexpected(unlocked.error());
  const std::scoped_lock lock(mutex_);
  const Result<std::string> in = space_id(space);
  if (!in) return std::unexpected(in.error());
  Result<Secret> found = load_secret(*in, name);
  if (!found) return found;
  std::vector<Secret> one;
  one.push_back(std::move(*found));
  constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  if (const Status used = add_users(*in, one, kAll); !used) return std::unexpected(used.error());
  return std::move(one.front());
}

Result<Listed<Secret>> Registry::list_secrets(std::string_view space, const api::Page& page) {
  static const std::string kSql = std::string(kColumns) + " AND name > ?2 ORDER BY name LIMIT ?3";
  if (const Status unlocked = check_unlocked(); !unlocked) return std::unexpected(unlocked.error());
  const std::scoped_lock lock(mutex_);
  const Result<std::string> in = space_id(space);
  if (!in) return std::unexpected(in.error());
  Statement query(*database_, kSql);
  query.bind(*in, page.after, page.limit + 1);
  Listed<Secret> listed;
  while (true) {
    const Result<bool> row = query.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    if (listed.items.size() == page.limit) {
      listed.next_cursor = api::make_cursor(listed.items.back().name);
      break;
    }
    listed.items.push_back(read_secret(query));
  }
  if (const Status used = add_users(*in, listed.items, kMaxListedUsers); !used)
    return std::unexpected(used.error());
  return listed;
}

Status Registry::delete_secret(std::string_view space, std::string_view name, Force force) {
  if (const Status unlocked = check_unlocked(); !unlocked) return unlocked;
  std::vector<FunctionRef> users;
  const Status gone = write({}, [&]() -> Status {
    const Result<std::string> in = space_id(space);
    if (!in) return std::unexpected(in.error());
    const Result<Secret> found = load_secret(*in, name);
    if (!found) return std::unexpected(found.error());
    Result<std::vector<FunctionRef>> using_it = users_of(space, *in, name);
    if (!using_it) return std::unexpected(using_it.error());
    users = std::move(*using_it);
    if (!users.empty() && force == Force::kNo) {
      return fail(Code::kConflict, Component::kRegistry, "secret_in_use",
                  "functions use it: " + list_names(users) + "; change them first, or say force=true");
    }
    return Statement(*database_, "DELETE FROM secrets WHERE space_id = ?1 AND name = ?2")
        .bind(*in, name)
        .run();
  });
  if (gone) {
    for (const FunctionRef& user : users) tell(Change::Kind::kChanged, user);
  }
  return gone;
}

Result<std::vector<std::size_t>> Registry::missing_secrets(std::string_view space,
                                                           const std::vector<std::string>& names) {
  std::vector<std::size_t> missing;
  if (names.empty()) return missing;
  if (const Status unlocked = check_unlocked(); !unlocked) return std::unexpected(unlocked.error());
  const std::scoped_lock lock(mutex_);
  const Result<std::string> in = space_id(space);
  if (!in) return std::unexpected(in.error());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Result<Secret> found = load_secret(*in, names[i]);
    if (found) continue;
    if (found.error().code != Code::kNotFound) return std::unexpected(found.error());
    missing.push_back(i);
  }
  return missing;
}

Status Registry::add_secret_values(Function& function) {
  function.secret_values.clear();
  std::vector<std::string> names = function.newest.spec.secrets;
  for (const std::optional<Version>* other : {&function.active, &function.canary}) {
    if (const auto& version = *other)
      names.insert(names.end(), version->spec.secrets.begin(), version->spec.secrets.end());
  }
  if (names.empty()) return {};
  if (const Status unlocked = check_unlocked(); !unlocked) return unlocked;
  const std::scoped_lock lock(mutex_);
  const Result<std::string> in = space_id(function.space);
  if (!in) return std::unexpected(in.error());
  for (const std::string& name : names) {
    if (function.secret_values.contains(name)) continue;
    Statement query(*database_, "SELECT sealed FROM secrets WHERE space_id = ?1 AND name = ?2");
    const Result<bool> row = query.bind(*in, name).step();
    if (!row) return std::unexpected(row.error());
    if (!*row) continue;
    Result<std::string> value = box_->unseal(query.blob(0), binding_of(*in, name));
    if (!value) return std::unexpected(value.error());
    function.secret_values.emplace(name, std::move(*value));
  }
  return {};
}

}  // namespace sterna::registry
