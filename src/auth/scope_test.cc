#include "auth/scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sterna::auth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Scopes, WideOnesContainTheNarrow) {
  const ScopeSet wide = scope_named("function");
  for (const char* name :
       {"function.create", "function.read", "function.update", "function.delete", "function.invoke"}) {
    ASSERT_FALSE(scope_named(name).empty()) << name;
    EXPECT_TRUE(wide.contains(scope_named(name))) << name;
    EXPECT_FALSE(scope_named(name).contains(wide)) << name;
  }
  for (const char* kind : {"trigger", "app", "space", "secret"}) {
    ScopeSet narrow;
    for (const char* action : {".create", ".read", ".update", ".delete"}) {
      const ScopeSet one = scope_named(std::string(kind) + action);
      ASSERT_FALSE(one.empty()) << kind << action;
      EXPECT_FALSE(wide.has_any_of(one)) << kind << action;
      narrow = narrow | one;
    }
    EXPECT_EQ(scope_named(kind), narrow) << kind;
  }
}

TEST(Scopes, HaveNoOtherNames) {
  for (const char* name : {"", "functions", "Function", "function.", "function.*", "function.invoke.more",
                           ".read", "*", "app.invoke", "function.read ", "admin"}) {
    EXPECT_TRUE(scope_named(name).empty()) << name;
  }
}

TEST(Scopes, AreReadFromText) {
  EXPECT_EQ(parse_scopes("function.read app"), scope_named("function.read") | scope_named("app"));
  EXPECT_EQ(parse_scopes("function.read function.read function"), scope_named("function"));
  for (const char* text : {"", " ", "app ", " app", "app  space", "app\tspace", "app,space", "nothing"}) {
    const auto scopes = parse_scopes(text);
    ASSERT_FALSE(scopes) << text;
    EXPECT_EQ(scopes.error().reason, "bad_scope");
    EXPECT_THAT(scopes.error().detail, HasSubstr("function.invoke"));
  }
}

TEST(Scopes, AreSaidInAsFewNamesAsPossible) {
  const auto names = [](std::string_view text) { return parse_scopes(text)->names(); };
  EXPECT_THAT(names("secret.read function.invoke function.read"),
              ElementsAre("function.read", "function.invoke", "secret.read"));
  EXPECT_THAT(names("app.delete app.create app.update app.read"), ElementsAre("app"));
  EXPECT_EQ(ScopeSet::all().text(), "function trigger app space secret");
  EXPECT_EQ(ScopeSet().text(), "");
}

TEST(Scopes, WhatIsLackingIsFound) {
  const ScopeSet have = *parse_scopes("function.read function.invoke");
  EXPECT_EQ(scope_named("function").without(have).text(), "function.create function.update function.delete");
  EXPECT_TRUE(have.without(scope_named("function")).empty());
}

}  // namespace
}  // namespace sterna::auth
