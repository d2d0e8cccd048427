#include "gateway/management.h"

#include "gateway/management_fixture.h"

namespace sterna::gateway {
namespace {

class ManagementTest : public ManagementFixture {};

TEST(ManagementRoute, FindsResources) {
  const auto route = parse_management_route("/spaces/a-b/functions/f/code");
  ASSERT_TRUE(route);
  EXPECT_EQ(route->resource, Resource::kCode);
  EXPECT_EQ(route->space, "a-b");
  EXPECT_EQ(route->function, "f");
  EXPECT_EQ(parse_management_route("/spaces/")->resource, Resource::kSpaces);
  EXPECT_EQ(parse_management_route("/spaces/a%2Db")->space, "a%2Db");  // a name that nothing has
  EXPECT_EQ(parse_management_route("/openapi.json")->resource, Resource::kOpenApi);
  for (const char* none : {"", "/", "/nope", "/spaces/a/nope", "/spaces/a/functions/f/nope",
                           "/openapi.json/x", "/spaces/a/functions/f/code/x", "//spaces", "/spaces//a",
                           "/spaces/a//", "/spaces/a//functions/f", "spaces/a"}) {
    EXPECT_FALSE(parse_management_route(none)) << none;
  }
}

TEST_F(ManagementTest, UnknownPathsAndMethodsAreProblems) {
  const ManagementReply unknown = send("GET", "/nope");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(header(unknown, "Content-Type"), "application/problem+json");
  const ManagementReply method = send("PATCH", "/spaces");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(header(method, "Allow"), "GET, HEAD, POST");
  EXPECT_EQ(header(send("GET", std::string(kMotion) + "/stop"), "Allow"), "POST");
  EXPECT_EQ(header(send("OPTIONS", kMotion), "Allow"), "GET, HEAD, PUT, PATCH, DELETE");
  EXPECT_EQ(send("HEAD", "/spaces").status, 200);
}

TEST_F(ManagementTest, SpacesLiveAndDie) {
  const ManagementReply made = send("POST", "/spaces", R"({"name":"home","callback_allow":["10.0.0.0/8"]})");
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(header(made, "Location"), "/spaces/home");
  const api::Json space = api::Json::parse(made.body);
  EXPECT_EQ(space["callback_allow"], api::Json{"10.0.0.0/8"});
  EXPECT_EQ(space["created_at"], "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(space["quota"]["functions"], nullptr);
  EXPECT_EQ(space["rate_limit"]["burst"], nullptr);
  EXPECT_EQ(space["usage"]["replicas"], (api::Json{{"used", 2}, {"limit", nullptr}}));
  EXPECT_EQ(reason(409, "POST", "/spaces", R"({"name":"home"})"), "space_exists");
  EXPECT_EQ(reason(422, "POST", "/spaces", R"({"name":"Home"})"), "invalid_fields");
  EXPECT_EQ(expect(200, "GET", "/spaces")["data"].size(), 2U);
  EXPECT_EQ(expect(200, "PATCH", "/spaces/home", R"({"callback_allow":null})")["callback_allow"],
            api::Json::array());
  EXPECT_EQ(reason(422, "PATCH", "/spaces/home", R"({"name":"other"})"), "invalid_fields");
  EXPECT_EQ(reason(422, "PATCH", "/spaces/home", "[]"), "invalid_fields");
  expect(201, "POST", "/spaces/home/functions", function_with("x"));
  EXPECT_EQ(reason(409, "DELETE", "/spaces/home"), "space_not_empty");
  EXPECT_EQ(reason(400, "DELETE", "/spaces/home?force=maybe"), "bad_parameter");
  EXPECT_EQ(send("DELETE", "/spaces/home?force=true").status, 204);
  EXPECT_EQ(bundle_count(), 0);
  EXPECT_EQ(reason(404, "GET", "/spaces/home"), "space_not_found");
  EXPECT_EQ(reason(409, "DELETE", "/spaces/default"), "space_is_default");
}

TEST_F(ManagementTest, CallbackTargetsOfASpaceAreChecked) {
  expect(200, "PATCH", "/spaces/default",
         R"({"callback_allow":["10.0.0.0/8","127.0.0.1","::1","fd00::/8","hooks.test","*.test"]})");
  const api::Json refused = expect(
      422, "PATCH", "/spaces/default",
      R"({"callback_allow":["10.0.0.0/33","10.0.0.0/8","10.1","a b","http://x","::1/129","10.0.0.1/8"]})");
  std::vector<std::string> fields;
  for (const api::Json& error : refused["errors"]) fields.push_back(error["field"]);
  EXPECT_EQ(fields,
            (std::vector<std::string>{"callback_allow[0]", "callback_allow[2]", "callback_allow[3]",
                                      "callback_allow[4]", "callback_allow[5]", "callback_allow[6]"}));
  EXPECT_EQ(reason(422, "POST", "/spaces", R"({"name":"home","callback_allow":["10.1"]})"), "invalid_fields");
  EXPECT_EQ(expect(200, "GET", "/spaces/default")["callback_allow"].size(), 6U);
}

TEST_F(ManagementTest, SigningSecretIsMadeWithItsSpaceAndRotated) {
  const ManagementReply reply = send("GET", "/spaces/default/signing-secret");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(header(reply, "Cache-Control"), "no-store");
  const api::Json first = api::Json::parse(reply.body);
  EXPECT_EQ(first.size(), 2U);
  EXPECT_TRUE(first["previous"].is_null());
  const std::string secret = first["current"];
  ASSERT_TRUE(secret.starts_with("whsec_"));
  EXPECT_EQ(api::base64_decode(secret.substr(6))->size(), 32U);

  const api::Json second = expect(200, "POST", "/spaces/default/signing-secret/rotate");
  EXPECT_NE(second["current"], secret);
  EXPECT_EQ(second["previous"], secret);
  EXPECT_EQ(expect(200, "GET", "/spaces/default/signing-secret"), second);
  clock_.advance(std::chrono::hours(24));
  EXPECT_TRUE(expect(200, "GET", "/spaces/default/signing-secret")["previous"].is_null());

  EXPECT_EQ(reason(404, "GET", "/spaces/nowhere/signing-secret"), "space_not_found");
  EXPECT_EQ(reason(404, "POST", "/spaces/nowhere/signing-secret/rotate"), "space_not_found");
  EXPECT_EQ(header(send("POST", "/spaces/default/signing-secret"), "Allow"), "GET, HEAD");
  EXPECT_EQ(header(send("GET", "/spaces/default/signing-secret/rotate"), "Allow"), "POST");
  EXPECT_EQ(reason(404, "GET", "/spaces/default/signing-secret/rotate/x"), "not_found");
}

TEST_F(ManagementTest, CreateAnswersTheWholeFunction) {
  const ManagementReply made =
      send("POST", "/spaces/default/functions", function_with("x"), "application/json; charset=utf-8");
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(header(made, "Location"), kMotion);
  const api::Json json = api::Json::parse(made.body);
  EXPECT_EQ(json["name"], "motion");
  EXPECT_EQ(json["space"], "default");
  EXPECT_EQ(json["status"], "Pending");
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["active_version"], nullptr);
  EXPECT_EQ(json["limits"]["concurrency"], 1);
  EXPECT_EQ(json["metrics"], api::Json::parse(R"({"invocations":7,"replicas":2,"available_replicas":1})"));
  EXPECT_EQ(json["created_at"], "2023-11-14T22:13:20.000Z");
  EXPECT_FALSE(json.contains("source"));
  EXPECT_EQ(expect(200, "GET", kMotion), json);
}

TEST_F(ManagementTest, CreateRefusesAndLeavesNothingBehind) {
  create();
  EXPECT_EQ(reason(409, "POST", "/spaces/default/functions", function_with("other")), "function_exists");
  EXPECT_EQ(bundle_count(), 1);
  EXPECT_EQ(reason(404, "POST", "/spaces/nowhere/functions", function_with("x")), "space_not_found");
  EXPECT_EQ(reason(400, "POST", "/spaces/default/functions", "{\"name\":"), "bad_json");
  EXPECT_EQ(reason(400, "POST", "/spaces/default/functions", ""), "bad_json");
  EXPECT_EQ(reason(415, "POST", "/spaces/default/functions", "name=x", "application/x-www-form-urlencoded"),
            "unsupported_media_type");
  const api::Json all = expect(422, "POST", "/spaces/default/functions",
                               R"({"name":"A","source":{"code":"!"},"limits":{"memory_mb":1}})");
  EXPECT_EQ(all["errors"].size(), 3U);
}

TEST_F(ManagementTest, CodeMayComeLater) {
  const api::Json json = expect(201, "POST", "/spaces/default/functions", R"({"name":"motion"})");
  EXPECT_EQ(json["status"], "Pending");
  EXPECT_NE(json["status_reason"], "");
  EXPECT_EQ(reason(404, "GET", std::string(kMotion) + "/code"), "no_code");
}

TEST_F(ManagementTest, ListsInPages) {
  for (const char* name : {"a", "b", "c"}) {
    expect(201, "POST", "/spaces/default/functions", std::string(R"({"name":")") + name + "\"}");
  }
  const api::Json first = expect(200, "GET", "/spaces/default/functions?limit=2");
  ASSERT_EQ(first["data"].size(), 2U);
  EXPECT_EQ(first["data"][1]["name"], "b");
  const std::string cursor = first["paging"]["next_cursor"];
  const api::Json second = expect(200, "GET", "/spaces/default/functions?cursor=" + cursor + "&limit=2");
  ASSERT_EQ(second["data"].size(), 1U);
  EXPECT_EQ(second["paging"]["next_cursor"], nullptr);
  EXPECT_EQ(reason(400, "GET", "/spaces/default/functions?limit=501"), "bad_parameter");
  EXPECT_EQ(reason(400, "GET", "/spaces/default/functions?cursor=x"), "bad_parameter");
  EXPECT_EQ(reason(404, "GET", "/spaces/nowhere/functions"), "space_not_found");
}

TEST_F(ManagementTest, PutReplacesAndKeepsTheCode) {
  create("one");
  expect(200, "PATCH", kMotion, R"({"description":"d","env":{"A":"1"}})");
  const api::Json put = expect(200, "PUT", kMotion, R"({"limits":{"memory_mb":256}})");
  EXPECT_EQ(put["description"], "");
  EXPECT_EQ(put["env"], api::Json::object());
  EXPECT_EQ(put["limits"]["memory_mb"], 256);
  EXPECT_EQ(put["version"], 3);
  EXPECT_EQ(expect(200, "GET", std::string(kMotion) + "/code")["code"], api::base64_encode("one"));
  EXPECT_EQ(reason(422, "PUT", kMotion, R"({"name":"other"})"), "invalid_fields");
  EXPECT_EQ(reason(404, "PUT", "/spaces/default/functions/nobody", "{}"), "function_not_found");
}

TEST_F(ManagementTest, WhatGetAnsweredCanBePutBack) {
  const api::Json before = create();
  EXPECT_EQ(expect(200, "PUT", kMotion, expect(200, "GET", kMotion).dump())["limits"], before["limits"]);
}

TEST_F(ManagementTest, PatchMerges) {
  create("one");
  expect(200, "PATCH", kMotion, R"({"env":{"A":"1","B":"2"},"limits":{"memory_mb":64,"cpus":2}})");
  const api::Json patched = expect(200, "PATCH", kMotion, R"({"env":{"A":null},"limits":{"memory_mb":null}})",
                                   "application/merge-patch+json");
  EXPECT_EQ(patched["env"], api::Json({{"B", "2"}}));
  EXPECT_EQ(patched["limits"]["memory_mb"], 128);
  EXPECT_EQ(patched["limits"]["cpus"], 2.0);
  EXPECT_EQ(reason(422, "PATCH", kMotion, R"({"name":"other"})"), "invalid_fields");
  EXPECT_EQ(reason(422, "PATCH", kMotion, R"({"colour":"red"})"), "invalid_fields");
  EXPECT_EQ(reason(422, "PATCH", kMotion, "7"), "invalid_fields");
  EXPECT_EQ(expect(200, "PATCH", kMotion, R"({"source":{"code":"dHdv"}})")["version"], 4);
  EXPECT_EQ(expect(200, "PATCH", kMotion, R"({"env":{"B":"2"},"limits":{"cpus":2}})")["version"], 4)
      << "nothing has changed";
  EXPECT_EQ(expect(200, "GET", std::string(kMotion) + "/code")["code"], "dHdv");
}

TEST_F(ManagementTest, DeleteRemovesTheCodeToo) {
  create();
  EXPECT_EQ(send("DELETE", kMotion).status, 204);
  EXPECT_EQ(bundle_count(), 0);
  EXPECT_EQ(reason(404, "DELETE", kMotion), "function_not_found");
}

TEST_F(ManagementTest, StopsAndStarts) {
  create();
  EXPECT_EQ(expect(200, "POST", std::string(kMotion) + "/stop")["status"], "Stopped");
  EXPECT_EQ(expect(200, "POST", std::string(kMotion) + "/start")["status"], "Pending");
  EXPECT_EQ(reason(404, "POST", "/spaces/default/functions/nobody/stop"), "function_not_found");
}

TEST_F(ManagementTest, ShowsTheConcurrencyOfAnAsyncHandler) {
  const std::string id = create()["id"];
  ASSERT_TRUE(registry_->activate(id, 1, true, "python 3.11.2"));
  const api::Json json = expect(200, "GET", kMotion);
  EXPECT_EQ(json["limits"]["concurrency"], 64);
  EXPECT_EQ(json["status"], "Running");
  EXPECT_EQ(json["active_version"], 1);
  EXPECT_EQ(json["runtime"], "python 3.11.2");
  EXPECT_EQ(expect(200, "PATCH", kMotion, R"({"limits":{"concurrency":2}})")["limits"]["concurrency"], 2);
}

TEST_F(ManagementTest, AMistakeInTheSettingsMakesNoSecondOneOfTheFiles) {
  const api::Json wrong = expect(422, "POST", "/spaces/default/functions",
                                 R"({"name":"f","template":"node-http","limits":{"timeout":3},)"
                                 R"("source":{"files":{"handler.js":"eA=="}}})");
  ASSERT_EQ(wrong["errors"].size(), 2U) << wrong;
  EXPECT_EQ(wrong["errors"][0]["field"], "template") << "this server has none of it";
  EXPECT_EQ(wrong["errors"][1]["field"], "limits.timeout");
}

TEST_F(ManagementTest, OwnFailuresDoNotTellTheirDetails) {
  create();
  std::filesystem::permissions(root_ / "bundles", std::filesystem::perms(0755));
  std::filesystem::remove_all(root_ / "bundles");
  const ManagementReply reply = send("PUT", std::string(kMotion) + "/code", R"({"code":"eA=="})");
  EXPECT_EQ(reply.status, 500);
  EXPECT_FALSE(reply.body.contains("bundles"));
  EXPECT_EQ(api::Json::parse(reply.body)["reason"], "io_error");
  std::filesystem::create_directory(root_ / "bundles");
}

}  // namespace
}  // namespace sterna::gateway
