#include <fmt/format.h>
#include <gmock/gmock.h>

#include "gateway/management_fixture.h"

namespace sterna::gateway {
namespace {

using ::testing::StartsWith;

class ManagementAppsTest : public ManagementFixture {
 protected:
  static constexpr std::string_view kApps = "/spaces/default/apps";

  // The answers from now on are for a caller of the space `default`.
  void call_as(std::string_view scopes, std::vector<std::string> functions = {},
               std::string space = "default") {
    caller_ = std::make_shared<const auth::Grant>(auth::Grant{.app = "caller",
                                                              .app_name = "caller",
                                                              .space = std::move(space),
                                                              .scopes = *auth::parse_scopes(scopes),
                                                              .functions = std::move(functions),
                                                              .expires_at = std::nullopt});
  }
  api::Json make(std::string_view name, std::string_view more = R"("scopes":["function.invoke"])") {
    return expect(201, "POST", kApps,
                  std::string(R"({"name":")").append(name).append(R"(",)").append(more).append("}"));
  }
};

TEST_F(ManagementAppsTest, TheSecretIsShownOnce) {
  const ManagementReply made = send("POST", kApps, R"({"name":"ci","scopes":["function.read","app"]})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(header(made, "Cache-Control"), "no-store");
  const api::Json app = api::Json::parse(made.body);
  const std::string id = app["id"];
  EXPECT_EQ(header(made, "Location"), "/spaces/default/apps/" + id);
  EXPECT_EQ(app["client_id"], id);
  EXPECT_THAT(app["client_secret"].get<std::string>(), StartsWith(auth::kSecretPrefix));
  for (const std::string& path : {std::string(kApps) + "/" + id, std::string(kApps) + "/ci"}) {
    const api::Json seen = expect(200, "GET", path);
    EXPECT_FALSE(seen.contains("client_secret"));
    EXPECT_EQ(seen["scopes"], (api::Json{"function.read", "app"}));
  }
  EXPECT_FALSE(expect(200, "GET", kApps).dump().contains("sterna_secret_"));
  EXPECT_TRUE(registry_->find_app("default", id)->secret ==
              auth::Hasher().hash(app["client_secret"].get<std::string>()));
}

TEST_F(ManagementAppsTest, WhatHasWaitedWhileItsTokenWasRevokedIsNotDone) {
  call_as("app");
  auth::Grant grant = *caller_;
  grant.withdrawn = std::make_shared<std::atomic<bool>>(false);
  caller_ = std::make_shared<const auth::Grant>(grant);
  make("before", R"("scopes":["app"])");
  *grant.withdrawn = true;
  const ManagementReply refused = send("POST", kApps, R"({"name":"after","scopes":["app"]})");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(api::Json::parse(refused.body)["reason"], "token_invalid");
  EXPECT_THAT(header(refused, "WWW-Authenticate"), StartsWith("Bearer"));
  EXPECT_EQ(registry_->find_app("default", "after").error().reason, "app_not_found");
}

TEST_F(ManagementAppsTest, ArePatchedRotatedAndDeleted) {
  const api::Json app = make("ci");
  const std::string path = std::string(kApps) + "/ci";
  EXPECT_EQ(expect(200, "PATCH", path, R"({"disabled":true,"functions":["f"]})")["functions"],
            api::Json{"f"});
  EXPECT_EQ(reason(422, "PATCH", path, R"({"scopes":["function.fly"]})"), "invalid_fields");
  EXPECT_EQ(reason(422, "PATCH", path, R"({"client_secret":"mine"})"), "invalid_fields");
  const api::Json rotated = expect(200, "POST", path + "/rotate");
  EXPECT_NE(rotated["client_secret"], app["client_secret"]);
  EXPECT_EQ(rotated["id"], app["id"]);
  EXPECT_EQ(send("DELETE", path).status, 204);
  EXPECT_EQ(reason(404, "GET", path), "app_not_found");
  EXPECT_EQ(reason(404, "POST", path + "/rotate"), "app_not_found");
  EXPECT_EQ(reason(404, "DELETE", path), "app_not_found");
}

TEST_F(ManagementAppsTest, OfTheServerStandBesideThoseOfSpaces) {
  expect(201, "POST", "/apps", R"({"name":"ci","scopes":["space.read"]})");
  const api::Json app = expect(200, "GET", "/apps/ci");
  EXPECT_EQ(app["space"], nullptr);
  EXPECT_EQ(reason(404, "GET", "/spaces/default/apps/ci"), "app_not_found");
  EXPECT_EQ(expect(200, "GET", "/apps")["data"].size(), 1U);
  EXPECT_TRUE(expect(200, "GET", kApps)["data"].empty());
}

TEST_F(ManagementAppsTest, NobodyGivesMoreThanHeHas) {
  call_as("app function.invoke");
  make("fine");
  for (const char* body :
       {R"({"name":"a","scopes":["function"]})", R"({"name":"a","scopes":["secret.read"]})",
        R"({"name":"a","scopes":["app","space"]})"}) {
    EXPECT_EQ(reason(403, "POST", kApps, body), "beyond_own_grant") << body;
  }
  EXPECT_EQ(reason(403, "PATCH", "/spaces/default/apps/fine", R"({"scopes":["function"]})"),
            "beyond_own_grant");
  call_as("app function", {"f"});
  EXPECT_EQ(reason(403, "POST", kApps, R"({"name":"a","scopes":["app"]})"), "beyond_own_grant");
  EXPECT_EQ(reason(403, "POST", kApps, R"({"name":"a","scopes":["app"],"functions":["f","g"]})"),
            "beyond_own_grant");
  make("bound", R"("scopes":["function"],"functions":["f"])");
}

TEST_F(ManagementAppsTest, NobodyTakesOverWhatMayDoMore) {
  make("strong", R"("scopes":["function","secret"])");
  call_as("app function");
  EXPECT_EQ(reason(403, "POST", "/spaces/default/apps/strong/rotate"), "beyond_own_grant");
  EXPECT_EQ(reason(403, "PATCH", "/spaces/default/apps/strong", R"({"scopes":["function"]})"),
            "beyond_own_grant");
  call_as("app function secret");
  EXPECT_EQ(send("POST", "/spaces/default/apps/strong/rotate").status, 200);
}

TEST_F(ManagementAppsTest, BoundCallersSeeTheirFunctionsOnly) {
  create();
  expect(201, "POST", "/spaces/default/functions", R"({"name":"other"})");
  call_as("function", {"absent", "motion"});
  const api::Json listed = expect(200, "GET", "/spaces/default/functions");
  ASSERT_EQ(listed["data"].size(), 1U);
  EXPECT_EQ(listed["data"][0]["name"], "motion");
  EXPECT_EQ(reason(403, "POST", "/spaces/default/functions", R"({"name":"third"})"), "function_not_granted");
  expect(201, "POST", "/spaces/default/functions", R"({"name":"absent"})");
  const api::Json page = expect(200, "GET", "/spaces/default/functions?limit=1");
  EXPECT_EQ(page["data"][0]["name"], "absent");
  const std::string cursor = page["paging"]["next_cursor"];
  const api::Json rest = expect(200, "GET", "/spaces/default/functions?limit=1&cursor=" + cursor);
  EXPECT_EQ(rest["data"][0]["name"], "motion");
  EXPECT_EQ(rest["paging"]["next_cursor"], nullptr);
}

TEST_F(ManagementAppsTest, BoundCallersReachTheAppsOfTheirFunctionsOnly) {
  make("wide");
  make("other", R"("scopes":["function.invoke"],"functions":["f","g"])");
  make("same", R"("scopes":["function.invoke"],"functions":["f"])");
  call_as("app function", {"f"});
  const api::Json listed = expect(200, "GET", kApps);
  ASSERT_EQ(listed["data"].size(), 1U) << listed;
  EXPECT_EQ(listed["data"][0]["name"], "same");
  for (const char* name : {"wide", "other"}) {
    const std::string path = std::string(kApps) + "/" + name;
    for (const char* method : {"GET", "DELETE"}) EXPECT_EQ(reason(403, method, path), "beyond_own_grant");
  }
  EXPECT_EQ(send("GET", std::string(kApps) + "/same").status, 200);
  EXPECT_EQ(send("DELETE", std::string(kApps) + "/same").status, 204);
  call_as("app.delete");
  EXPECT_EQ(send("DELETE", std::string(kApps) + "/wide").status, 204) << "who is bound to none reaches all";
}

TEST_F(ManagementAppsTest, BoundCallersKeepOffTheSecretsOfOtherFunctions) {
  for (const char* name : {"BOTH", "OTHERS", "OWN", "UNUSED"})
    expect(201, "PUT", std::string("/spaces/default/secrets/") + name, R"({"value":"1"})");
  expect(201, "POST", "/spaces/default/functions", R"({"name":"f","secrets":["BOTH","OWN"]})");
  expect(201, "POST", "/spaces/default/functions", R"({"name":"g","secrets":["BOTH","OTHERS"]})");
  call_as("secret", {"f"});
  const api::Json listed = expect(200, "GET", "/spaces/default/secrets");
  EXPECT_EQ(listed["data"][0]["used_by"], api::Json{"f"}) << "of its functions it hears";
  EXPECT_TRUE(listed["data"][1]["used_by"].empty());
  EXPECT_EQ(expect(200, "GET", "/spaces/default/secrets/BOTH")["used_by"], api::Json{"f"});
  for (const char* name : {"BOTH", "OTHERS"}) {
    const std::string path = std::string("/spaces/default/secrets/") + name;
    EXPECT_EQ(reason(403, "PUT", path, R"({"value":"2"})"), "function_not_granted");
    EXPECT_EQ(reason(403, "DELETE", path), "function_not_granted") << "and no names in a 409";
    EXPECT_EQ(reason(403, "DELETE", path + "?force=true"), "function_not_granted");
  }
  expect(200, "PUT", "/spaces/default/secrets/OWN", R"({"value":"2"})");
  EXPECT_EQ(send("DELETE", "/spaces/default/secrets/OWN?force=true").status, 204);
  EXPECT_EQ(send("DELETE", "/spaces/default/secrets/UNUSED").status, 204);
}

// Answers name some of them only; what a caller may do depends on all.
TEST_F(ManagementAppsTest, BoundCallersKeepOffASecretThatVeryManyFunctionsUse) {
  constexpr std::string_view kShared = "/spaces/default/secrets/SHARED";
  expect(201, "PUT", kShared, R"({"value":"1"})");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < registry::kMaxListedUsers; ++i) names.push_back(fmt::format("f{:03}", i));
  for (const std::string& name : names) {
    expect(201, "POST", "/spaces/default/functions",
           fmt::format(R"({{"name":"{}","secrets":["SHARED"]}})", name));
  }
  expect(201, "POST", "/spaces/default/functions", R"({"name":"last","secrets":["SHARED"]})");
  EXPECT_EQ(expect(200, "GET", kShared)["used_by"].size(), registry::kMaxListedUsers);
  EXPECT_EQ(expect(200, "PUT", kShared, R"({"value":"2"})")["used_by"].size(), registry::kMaxListedUsers);
  call_as("secret", names);
  EXPECT_EQ(reason(403, "PUT", kShared, R"({"value":"3"})"), "function_not_granted");
  EXPECT_EQ(reason(403, "DELETE", std::string(kShared) + "?force=true"), "function_not_granted");
  call_as("secret", {"last"});
  EXPECT_EQ(expect(200, "GET", kShared)["used_by"], api::Json{"last"}) << "of all that use it";
}

TEST_F(ManagementAppsTest, CallersOfASpaceSeeTheirSpaceOnly) {
  expect(201, "POST", "/spaces", R"({"name":"lab"})");
  call_as("space", {}, "lab");
  const api::Json listed = expect(200, "GET", "/spaces");
  ASSERT_EQ(listed["data"].size(), 1U);
  EXPECT_EQ(listed["data"][0]["name"], "lab");
  EXPECT_EQ(reason(403, "PATCH", "/spaces/lab", R"({"callback_allow":["10.0.0.0/8"]})"),
            "administrator_only");
  EXPECT_EQ(send("PATCH", "/spaces/lab", R"({"callback_allow":[]})").status, 200);
}

TEST_F(ManagementAppsTest, MakingASecretIsNotChangingIt) {
  call_as("secret.create");
  expect(201, "PUT", "/spaces/default/secrets/KEY", R"({"value":"1"})");
  EXPECT_EQ(reason(403, "PUT", "/spaces/default/secrets/KEY", R"({"value":"2"})"), "insufficient_scope");
  call_as("secret.update");
  expect(200, "PUT", "/spaces/default/secrets/KEY", R"({"value":"2"})");
  EXPECT_EQ(reason(403, "PUT", "/spaces/default/secrets/NEW", R"({"value":"2"})"), "insufficient_scope");
}

struct Needs {
  std::string_view method;
  std::string_view path;
  std::string_view scopes;
  bool whole_server = false;
};

TEST(ManagementAccess, TellsWhatConcernsEveryFunction) {
  for (const auto& [method, path] : {std::pair{"PATCH", "/spaces/a"}, std::pair{"DELETE", "/spaces/a"},
                                     std::pair{"POST", "/spaces/a/signing-secret/rotate"},
                                     std::pair{"GET", "/spaces/a/audit"}, std::pair{"GET", "/audit"}})
    EXPECT_TRUE(Management::access_of(path, method).need().all_functions) << method << path;
  for (const auto& [method, path] :
       {std::pair{"GET", "/spaces/a"}, std::pair{"GET", "/spaces/a/functions"},
        std::pair{"DELETE", "/spaces/a/functions/f"}, std::pair{"GET", "/spaces/a/signing-secret"}})
    EXPECT_FALSE(Management::access_of(path, method).need().all_functions) << method << path;
}

TEST(ManagementAccess, IsKnownFromMethodAndPath) {
  for (const Needs& each : {
           Needs{"GET", "/spaces", "space.read"},
           Needs{"POST", "/spaces", "space.create", true},
           Needs{"GET", "/spaces/a", "space.read"},
           Needs{"HEAD", "/spaces/a", "space.read"},
           Needs{"PATCH", "/spaces/a", "space.update"},
           Needs{"DELETE", "/spaces/a", "space.delete"},
           Needs{"GET", "/spaces/a/signing-secret", "secret.read"},
           Needs{"POST", "/spaces/a/signing-secret/rotate", "secret.update"},
           Needs{"PUT", "/spaces/a/secrets/K", "secret.create secret.update"},
           Needs{"GET", "/spaces/a/apps", "app.read"},
           Needs{"POST", "/apps", "app.create", true},
           Needs{"POST", "/apps/x/rotate", "app.update", true},
           Needs{"POST", "/spaces/a/functions", "function.create"},
           Needs{"PUT", "/spaces/a/functions/f", "function.update"},
           Needs{"DELETE", "/spaces/a/functions/f", "function.delete"},
           Needs{"PUT", "/spaces/a/functions/f/code", "function.update"},
           Needs{"GET", "/spaces/a/functions/f/versions/1/diff/2", "function.read"},
           Needs{"PUT", "/spaces/a/functions/f/traffic", "function.update"},
       }) {
    const auto access = Management::access_of(each.path, each.method);
    EXPECT_EQ(access.any_of, *auth::parse_scopes(each.scopes)) << each.method << each.path;
    EXPECT_EQ(access.whole_server, each.whole_server) << each.method << each.path;
    EXPECT_EQ(access.space, each.path.starts_with("/spaces/a") ? "a" : "") << each.path;
    EXPECT_EQ(access.function, each.path.contains("/functions/f") ? "f" : "") << each.path;
    EXPECT_FALSE(access.open);
  }
  EXPECT_TRUE(Management::access_of("/openapi.json", "GET").open);
  // Names are taken as the resource itself takes them.
  EXPECT_EQ(Management::access_of("/spaces/%61/functions/%66%66/", "GET").function, "%66%66");
  EXPECT_EQ(Management::access_of("/spaces/%61/functions/%66%66/", "GET").space, "%61");
}

TEST(ManagementAccess, OfWhatIsNotThereTakesAnyToken) {
  for (const auto& [method, path] : {std::pair("GET", "/nothing"), std::pair("PUT", "/spaces"),
                                     std::pair("POST", "/openapi.json"), std::pair("GET", "/")}) {
    const auto access = Management::access_of(path, method);
    EXPECT_TRUE(access.any_of.empty()) << path;
    EXPECT_FALSE(access.open) << path;
  }
}

TEST_F(ManagementAppsTest, LimitsAreSetByThoseOfTheServer) {
  const std::string path = std::string(kApps) + "/ci";
  make("ci");
  const api::Json app =
      expect(200, "PATCH", path, R"({"rate_limit":{"requests_per_second":2.5,"burst":10}})");
  EXPECT_EQ(app["rate_limit"],
            api::Json::parse(R"({"requests_per_second":2.5,"burst":10,"bytes_per_second":null})"));
  EXPECT_EQ(expect(200, "PATCH", path, R"({"rate_limit":{"burst":null}})")["rate_limit"]["burst"], nullptr);
  const api::Json wrong =
      expect(422, "PATCH", path, R"({"rate_limit":{"requests_per_second":-1,"burst":0.5,"speed":1}})");
  EXPECT_EQ(wrong["errors"].size(), 3U) << wrong;

  call_as("app function");
  auto limited = std::make_shared<auth::Grant>(*caller_);
  limited->rate_limit.requests_per_second = 5;
  caller_ = limited;
  const std::string_view faster = R"("scopes":["function"],"rate_limit":{"requests_per_second":6})";
  EXPECT_EQ(reason(403, "POST", kApps, std::string(R"({"name":"fast",)").append(faster).append("}")),
            "beyond_own_grant");
  EXPECT_EQ(reason(403, "POST", kApps, R"({"name":"fast","scopes":["function"]})"), "beyond_own_grant");
  make("slow", R"("scopes":["function"],"rate_limit":{"requests_per_second":4})");
  EXPECT_EQ(reason(403, "PATCH", std::string(kApps) + "/slow", R"({"rate_limit":{"requests_per_second":0}})"),
            "beyond_own_grant");
  EXPECT_EQ(reason(403, "PATCH", "/spaces/default", R"({"rate_limit":{"requests_per_second":0.5}})"),
            "administrator_only");
}

}  // namespace
}  // namespace sterna::gateway
