#include "auth/scope.h"

#include <array>

namespace sterna::auth {
namespace {

struct Kind {
  std::string_view name;
  Scope first;
  std::size_t count;
};

constexpr std::array<std::string_view, 5> kActions = {"create", "read", "update", "delete", "invoke"};
// Only functions are invoked.
constexpr std::array kKinds = {
    Kind{"function", Scope::kFunctionCreate, 5}, Kind{"trigger", Scope::kTriggerCreate, 4},
    Kind{"app", Scope::kAppCreate, 4},           Kind{"space", Scope::kSpaceCreate, 4},
    Kind{"secret", Scope::kSecretCreate, 4},
};

ScopeSet nth(const Kind& kind, std::size_t action) {
  return static_cast<Scope>(static_cast<std::size_t>(kind.first) + action);
}

ScopeSet whole(const Kind& kind) {
  ScopeSet set;
  for (std::size_t i = 0; i < kind.count; ++i) set = set | nth(kind, i);
  return set;
}

std::string narrow_name(const Kind& kind, std::size_t action) {
  return std::string(kind.name).append(".").append(kActions[action]);
}

}  // namespace

std::vector<std::string> ScopeSet::names() const {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    if (contains(whole(kind))) {
      names.emplace_back(kind.name);
      continue;
    }
    for (std::size_t i = 0; i < kind.count; ++i) {
      if (contains(nth(kind, i))) names.push_back(narrow_name(kind, i));
    }
  }
  return names;
}

std::string ScopeSet::text() const {
  std::string text;
  for (const std::string& name : names()) text.append(text.empty() ? "" : " ").append(name);
  return text;
}

ScopeSet scope_named(std::string_view name) {
  for (const Kind& kind : kKinds) {
    if (name == kind.name) return whole(kind);
    for (std::size_t i = 0; i < kind.count; ++i) {
      if (name == narrow_name(kind, i)) return nth(kind, i);
    }
  }
  return {};
}

Result<ScopeSet> parse_scopes(std::string_view text) {
  ScopeSet set;
  while (true) {
    const std::string_view name = text.substr(0, text.find(' '));
    const ScopeSet one = scope_named(name);
    if (one.empty()) {
      constexpr std::size_t kShown = 64;
      return fail(Code::kInvalid, Component::kAuth, "bad_scope",
                  "there is no scope \"" + std::string(name.substr(0, kShown)) +
                      "\"; write some of these, separated by single spaces: " + list_of_scopes());
    }
    set = set | one;
    if (name.size() == text.size()) return set;
    text.remove_prefix(name.size() + 1);
  }
}

std::string list_of_scopes() {
  std::string list;
  for (const Kind& kind : kKinds) {
    list.append(list.empty() ? "" : ", ").append(kind.name);
    for (std::size_t i = 0; i < kind.count; ++i) list.append(", ").append(narrow_name(kind, i));
  }
  return list;
}

}  // namespace sterna::auth
