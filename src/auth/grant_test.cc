#include "auth/grant.h"

#include <gtest/gtest.h>

namespace sterna::auth {
namespace {

Grant grant(std::string_view scopes, std::string space = "a", std::vector<std::string> functions = {}) {
  return {.app = "app",
          .app_name = "name",
          .space = std::move(space),
          .scopes = *parse_scopes(scopes),
          .functions = std::move(functions),
          .expires_at = std::nullopt};
}

std::string refusal(const Grant& grant, const Need& need) {
  const Status status = check(grant, need);
  return status ? "" : status.error().reason;
}

TEST(Check, AsksForOneOfTheScopes) {
  const Need need{.any_of = scope_named("function.invoke"), .space = "a", .function = "f"};
  EXPECT_EQ(refusal(grant("function.invoke"), need), "");
  EXPECT_EQ(refusal(grant("function"), need), "");
  EXPECT_EQ(refusal(grant("function.read app space secret trigger"), need), "insufficient_scope");
  const Need either{.any_of = scope_named("function.read") | scope_named("function.invoke"), .space = "a"};
  EXPECT_EQ(refusal(grant("function.read"), either), "");
  EXPECT_NE(check(grant("app"), either).error().detail.find("function.read or function.invoke"),
            std::string::npos);
}

TEST(Check, KeepsSpacesApart) {
  const Need need{.any_of = scope_named("function.read"), .space = "b"};
  EXPECT_EQ(refusal(grant("function"), need), "space_not_granted");
  EXPECT_EQ(refusal(grant("app"), need), "space_not_granted") << "whatever the scopes are";
  EXPECT_EQ(refusal(grant("function", ""), need), "");
  EXPECT_EQ(refusal(grant("function"), {.any_of = scope_named("function.read"), .space = {}}), "");
}

TEST(Check, KeepsToTheNamedFunctions) {
  const auto bound = grant("function", "a", {"f", "g"});
  const auto need = [](std::string_view name) {
    return Need{.any_of = scope_named("function.read"), .space = "a", .function = name};
  };
  EXPECT_EQ(refusal(bound, need("f")), "");
  EXPECT_EQ(refusal(bound, need("g")), "");
  EXPECT_EQ(refusal(bound, need("h")), "function_not_granted");
}

TEST(Check, KeepsWhoIsBoundToFunctionsFromWhatConcernsAll) {
  const Need need{.any_of = scope_named("space.delete"), .space = "a", .all_functions = true};
  EXPECT_EQ(refusal(grant("space", "a"), need), "");
  EXPECT_EQ(refusal(grant("space", "a", {"f"}), need), "function_not_granted");
  EXPECT_EQ(refusal(grant("space", "", {"f"}), need), "function_not_granted") << "an app of the server too";
}

TEST(Check, KeepsTheServerToItsOwnApps) {
  const Need need{.any_of = scope_named("space.create"), .whole_server = true};
  EXPECT_EQ(refusal(grant("space"), need), "administrator_only");
  EXPECT_EQ(refusal(grant("space", ""), need), "");
  EXPECT_EQ(refusal(grant("app", ""), need), "insufficient_scope");
}

TEST(Check, LetsEveryoneInWhereNothingIsChecked) {
  EXPECT_EQ(
      refusal(*unchecked_grant(),
              {.any_of = scope_named("space.create"), .space = "a", .function = "f", .whole_server = true}),
      "");
}

TEST(Grants, ContainWhatGoesNoFurther) {
  const Grant wide = grant("function app", "a");
  EXPECT_TRUE(wide.contains(wide));
  EXPECT_TRUE(wide.contains(grant("function.read", "a", {"f"})));
  EXPECT_TRUE(grant("function app", "").contains(wide));
  EXPECT_FALSE(wide.contains(grant("function app", "")));
  EXPECT_FALSE(wide.contains(grant("function", "b")));
  EXPECT_FALSE(wide.contains(grant("secret.read")));
  const Grant bound = grant("function", "a", {"f", "g"});
  EXPECT_TRUE(bound.contains(grant("function", "a", {"g"})));
  EXPECT_FALSE(bound.contains(grant("function", "a", {"g", "h"})));
  EXPECT_FALSE(bound.contains(grant("function", "a")));
}

TEST(Grants, ContainNothingThatOutlivesThem) {
  Grant ending = grant("app");
  ending.expires_at = WallTime(std::chrono::hours(2));
  Grant other = grant("app");
  EXPECT_FALSE(ending.contains(other));
  other.expires_at = WallTime(std::chrono::hours(3));
  EXPECT_FALSE(ending.contains(other));
  other.expires_at = ending.expires_at;
  EXPECT_TRUE(ending.contains(other));
  EXPECT_TRUE(grant("app").contains(ending));
}

TEST(Contains, AppsOfASpaceAreNoFasterThanWhoMadeThem) {
  Grant slow = grant("function");
  slow.rate_limit.requests_per_second = 5;
  Grant faster = slow;
  faster.rate_limit.requests_per_second = 6;
  EXPECT_TRUE(slow.contains(slow));
  EXPECT_FALSE(slow.contains(faster));
  EXPECT_FALSE(slow.contains(grant("function"))) << "without a limit is more";
  EXPECT_TRUE(grant("function").contains(faster));
  slow.space.clear();
  EXPECT_TRUE(slow.contains(faster)) << "apps of the server decide";
}

}  // namespace
}  // namespace sterna::auth
