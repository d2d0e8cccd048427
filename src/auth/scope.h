// What an app may do: sets of scopes such as `function.invoke`; a wide one (`function`) contains its narrow
// ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sterna::auth {

// In the order of the names in scope.cc.
enum class Scope : std::uint8_t {
  kFunctionCreate,
  kFunctionRead,
  kFunctionUpdate,
  kFunctionDelete,
  kFunctionInvoke,
  kTriggerCreate,
  kTriggerRead,
  kTriggerUpdate,
  kTriggerDelete,
  kAppCreate,
  kAppRead,
  kAppUpdate,
  kAppDelete,
  kSpaceCreate,
  kSpaceRead,
  kSpaceUpdate,
  kSpaceDelete,
  kSecretCreate,
  kSecretRead,
  kSecretUpdate,
  kSecretDelete,
  kCount,
};

class ScopeSet {
 public:
  constexpr ScopeSet() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): one scope is a set of scopes
  constexpr ScopeSet(Scope scope) : bits_(1U << static_cast<unsigned>(scope)) {}
  static constexpr ScopeSet all() { return ScopeSet((1U << static_cast<unsigned>(Scope::kCount)) - 1); }

  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool contains(ScopeSet other) const { return (bits_ & other.bits_) == other.bits_; }
  constexpr bool has_any_of(ScopeSet other) const { return (bits_ & other.bits_) != 0; }
  constexpr ScopeSet without(ScopeSet other) const { return ScopeSet(bits_ & ~other.bits_); }
  friend constexpr ScopeSet operator|(ScopeSet a, ScopeSet b) { return ScopeSet(a.bits_ | b.bits_); }
  friend constexpr bool operator==(ScopeSet, ScopeSet) = default;

  // As few names as say it: `function` when all of that kind are in it.
  std::vector<std::string> names() const;
  // The names, separated by spaces (RFC 6749 3.3).
  std::string text() const;

 private:
  explicit constexpr ScopeSet(std::uint32_t bits) : bits_(bits) {}

  std::uint32_t bits_ = 0;
};

// Of one name, wide or narrow; empty when there is no such scope.
ScopeSet scope_named(std::string_view name);

// Names separated by single spaces (RFC 6749 3.3). Fails with invalid, reason `bad_scope`.
Result<ScopeSet> parse_scopes(std::string_view text);

// Every name, for messages and documents: "function, function.create, ...".
std::string list_of_scopes();

}  // namespace sterna::auth
