#include "gateway/management_fixture.h"

namespace sterna::gateway {
namespace {

constexpr std::string_view kKey = "/spaces/default/secrets/KEY";

class ManagementSecretsTest : public ManagementFixture {
 protected:
  api::Json put(int status, std::string_view path, std::string body, std::string type = "application/json") {
    return expect(status, "PUT", path, std::move(body), std::move(type));
  }
  static std::string field(const api::Json& problem) { return problem.at("errors").at(0).at("field"); }
};

TEST_F(ManagementSecretsTest, AreSetReplacedAndDeletedButNeverShown) {
  const ManagementReply made = send("PUT", kKey, R"({"value":"geheim"})", "application/json");
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(header(made, "Location"), kKey);
  const api::Json secret = api::Json::parse(made.body);
  EXPECT_EQ(secret, api::Json({{"name", "KEY"},
                               {"created_at", secret["created_at"]},
                               {"updated_at", secret["updated_at"]},
                               {"used_by", api::Json::array()}}));
  clock_.advance(std::chrono::seconds(1));
  const api::Json again = put(200, kKey, "raw bytes \xff", "application/octet-stream");
  EXPECT_EQ(again["created_at"], secret["created_at"]);
  EXPECT_NE(again["updated_at"], secret["updated_at"]);
  put(200, kKey, R"({"value_base64":"Z2VoZWlt"})");
  EXPECT_EQ(expect(200, "GET", kKey)["name"], "KEY");
  const api::Json list = expect(200, "GET", "/spaces/default/secrets");
  EXPECT_EQ(list["data"].size(), 1U);
  EXPECT_FALSE(list.dump().contains("geheim"));
  EXPECT_EQ(send("DELETE", kKey).status, 204);
  EXPECT_EQ(reason(404, "GET", kKey), "secret_not_found");
  EXPECT_EQ(reason(404, "DELETE", kKey), "secret_not_found");
}

TEST_F(ManagementSecretsTest, WrongRequestsAreRefusedByFieldWithoutTheValue) {
  EXPECT_EQ(field(put(422, "/spaces/default/secrets/a-b", R"({"value":"v"})")), "name");
  EXPECT_EQ(field(put(422, "/spaces/default/secrets/STERNA_X", R"({"value":"v"})")), "name");
  EXPECT_EQ(field(put(422, kKey, "{}")), "value");
  EXPECT_EQ(field(put(422, kKey, std::string(65537, 'x'), "application/octet-stream")), "value");
  EXPECT_EQ(put(415, kKey, "value=v", "application/x-www-form-urlencoded")["reason"],
            "unsupported_media_type");
  const ManagementReply broken = send("PUT", kKey, "geheim", "application/json");
  EXPECT_EQ(broken.status, 400);
  EXPECT_FALSE(broken.body.contains("geheim"));
  EXPECT_EQ(reason(404, "PUT", "/spaces/nowhere/secrets/KEY", R"({"value":"v"})"), "space_not_found");
  EXPECT_EQ(reason(404, "GET", "/spaces/nowhere/secrets"), "space_not_found");
  EXPECT_EQ(header(send("POST", "/spaces/default/secrets"), "Allow"), "GET, HEAD");
  EXPECT_EQ(header(send("POST", kKey), "Allow"), "GET, HEAD, PUT, DELETE");
  EXPECT_EQ(reason(404, "GET", "/spaces/default/secrets/KEY/value"), "not_found");
}

TEST_F(ManagementSecretsTest, FunctionsListOnlyWhatExists) {
  const api::Json refused =
      expect(422, "POST", "/spaces/default/functions", R"({"name":"motion","secrets":["KEY","MORE"]})");
  EXPECT_EQ(field(refused), "secrets[0]");
  EXPECT_EQ(refused["errors"].size(), 2U);
  put(201, kKey, R"({"value":"v"})");
  create();
  EXPECT_EQ(field(expect(422, "PATCH", kMotion, R"({"secrets":["KEY","MORE"]})")), "secrets[1]");
  const api::Json patched = expect(200, "PATCH", kMotion, R"({"secrets":["KEY"],"secrets_env":true})");
  EXPECT_EQ(patched["secrets"], api::Json({"KEY"}));
  EXPECT_EQ(patched["secrets_env"], true);
  EXPECT_EQ(expect(200, "GET", kKey)["used_by"], api::Json({"motion"}));
  EXPECT_EQ(field(expect(422, "PUT", kMotion, R"({"secrets":["NONE"]})")), "secrets[0]");
  EXPECT_EQ(field(expect(422, "PATCH", kMotion, R"({"secrets_env":"yes"})")), "secrets_env");
}

TEST_F(ManagementSecretsTest, UsedOnesAreDeletedByForceOnly) {
  put(201, kKey, R"({"value":"v"})");
  create();
  expect(200, "PATCH", kMotion, R"({"secrets":["KEY"]})");
  EXPECT_EQ(reason(409, "DELETE", kKey), "secret_in_use");
  EXPECT_EQ(reason(400, "DELETE", std::string(kKey) + "?force=perhaps"), "bad_parameter");
  EXPECT_EQ(send("DELETE", std::string(kKey) + "?force=true").status, 204);
  EXPECT_EQ(expect(200, "GET", kMotion)["secrets"], api::Json({"KEY"}));
  EXPECT_EQ(field(expect(422, "PATCH", kMotion, R"({"description":"new"})")), "secrets[0]");
}

TEST_F(ManagementSecretsTest, OlderVersionComesBackOnlyWithItsSecrets) {
  put(201, kKey, R"({"value":"v"})");
  create();
  expect(200, "PATCH", kMotion, R"({"secrets":["KEY"]})");
  expect(200, "PATCH", kMotion, R"({"secrets":[]})");
  EXPECT_EQ(send("DELETE", kKey).status, 204);
  const std::string rollback = std::string(kMotion) + "/rollback";
  EXPECT_EQ(field(expect(422, "POST", rollback, R"({"version":2})")), "secrets[0]");
  put(201, kKey, R"({"value":"again"})");
  EXPECT_EQ(expect(200, "POST", rollback, R"({"version":2})")["secrets"], api::Json({"KEY"}));
}

}  // namespace
}  // namespace sterna::gateway
