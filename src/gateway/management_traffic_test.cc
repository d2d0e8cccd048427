#include "gateway/management_fixture.h"

namespace sterna::gateway {
namespace {

// Version 1 is active; version 2 is the canary with a tenth of the calls.
class ManagementTrafficTest : public ManagementFixture {
 protected:
  void SetUp() override {
    ManagementFixture::SetUp();
    id_ = create("one")["id"];
    load(1);
    expect(200, "PATCH", std::string(kMotion) + "?traffic_percent=10", R"({"description":"two"})");
    load(2);
  }
  void load(std::int64_t number) { ASSERT_TRUE(registry_->activate(id_, number, false, "python")); }
  static std::string put(std::string_view versions) {
    return R"({"versions":)" + std::string(versions) + "}";
  }

  const std::string traffic_ = std::string(kMotion) + "/traffic";
  std::string id_;
};

TEST_F(ManagementTrafficTest, IsShownByItselfAndWithTheFunction) {
  const api::Json wanted = api::Json::parse(R"([{"version":1,"percent":90},{"version":2,"percent":10}])");
  EXPECT_EQ(expect(200, "GET", traffic_)["versions"], wanted);
  const api::Json function = expect(200, "GET", kMotion);
  EXPECT_EQ(function["traffic"], wanted);
  EXPECT_EQ(function["active_version"], 1);
  EXPECT_EQ(function["version"], 2);
  EXPECT_EQ(expect(200, "GET", std::string(kMotion) + "/versions/2")["state"], "canary");
}

TEST_F(ManagementTrafficTest, TakesTheActiveOneAndOneOther) {
  const api::Json half =
      expect(200, "PUT", traffic_, put(R"([{"version":2,"percent":50},{"version":1,"percent":50}])"));
  EXPECT_EQ(half["versions"], api::Json::parse(R"([{"version":1,"percent":50},{"version":2,"percent":50}])"));
  const api::Json all =
      expect(200, "PUT", traffic_, put(R"([{"version":1,"percent":0},{"version":2,"percent":100}])"));
  EXPECT_EQ(all["versions"], api::Json::parse(R"([{"version":2,"percent":100}])"));
  EXPECT_EQ(expect(200, "PUT", traffic_, put(R"([{"version":1,"percent":100}])"))["versions"][0]["version"],
            1);
}

TEST_F(ManagementTrafficTest, FunctionWithoutARunningVersionHasNone) {
  expect(201, "POST", "/spaces/default/functions", R"({"name":"empty"})");
  EXPECT_EQ(expect(200, "GET", "/spaces/default/functions/empty/traffic")["versions"], api::Json::array());
}

TEST_F(ManagementTrafficTest, SaysWhatIsWrong) {
  for (const char* versions :
       {"[]", "{}", "7",
        R"([{"version":1,"percent":100},{"version":2,"percent":0},{"version":3,"percent":0}])",
        R"([{"version":1,"percent":50}])", R"([{"version":1,"percent":50},{"version":2,"percent":51}])",
        R"([{"version":1,"percent":50},{"version":1,"percent":50}])", R"([{"version":1}])",
        R"([{"percent":100}])", R"([{"version":0,"percent":100}])", R"([{"version":1,"percent":101}])",
        R"([{"version":1,"percent":-1}])", R"([{"version":1,"percent":33.3},{"version":2,"percent":66.7}])",
        R"([{"version":1,"percent":100,"weight":1}])"}) {
    EXPECT_EQ(reason(422, "PUT", traffic_, put(versions)), "invalid_fields") << versions;
  }
  EXPECT_EQ(reason(422, "PUT", traffic_, "{}"), "invalid_fields");
  EXPECT_EQ(reason(404, "PUT", traffic_, put(R"([{"version":9,"percent":100}])")), "version_not_found");
  expect(200, "PATCH", kMotion, R"({"description":"three"})");
  EXPECT_EQ(reason(409, "PUT", traffic_, put(R"([{"version":3,"percent":100}])")), "version_not_loaded");
  EXPECT_EQ(reason(409, "PUT", traffic_, put(R"([{"version":2,"percent":50},{"version":3,"percent":50}])")),
            "version_not_active");
  for (const char* percent : {"0", "101", "-1", "x", "10x", "1.5", ""}) {
    EXPECT_EQ(reason(400, "PATCH", std::string(kMotion) + "?traffic_percent=" + percent, "{}"),
              "bad_parameter")
        << percent;
  }
  EXPECT_EQ(header(send("POST", traffic_), "Allow"), "GET, HEAD, PUT");
}

}  // namespace
}  // namespace sterna::gateway
