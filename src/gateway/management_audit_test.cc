#include <gmock/gmock.h>

#include "gateway/management_fixture.h"

namespace sterna::gateway {
namespace {

class ManagementAuditTest : public ManagementFixture {
 protected:
  static auth::GrantPtr app_of(std::string space) {
    return std::make_shared<const auth::Grant>(auth::Grant{.app = "id",
                                                           .app_name = "ci",
                                                           .space = std::move(space),
                                                           .scopes = auth::ScopeSet::all(),
                                                           .functions = {},
                                                           .expires_at = std::nullopt});
  }
  ManagementRequest deletion(std::string path) {
    ManagementRequest request;
    request.method = "DELETE";
    request.path = std::move(path);
    request.caller = caller_;
    return request;
  }
  api::Json entries(std::string_view path = "/spaces/default/audit") {
    return expect(200, "GET", path)["data"];
  }
};

TEST_F(ManagementAuditTest, KeepsWhoChangedWhatAndHowItEnded) {
  caller_ = app_of("default");
  create();
  send("GET", kMotion);
  send("DELETE", "/spaces/default/functions/absent?force=true");
  const api::Json seen = entries();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0]["path"], "/spaces/default/functions/absent") << "the newest first, without the query";
  EXPECT_EQ(seen[0]["method"], "DELETE");
  EXPECT_EQ(seen[0]["status"], 404);
  EXPECT_EQ(seen[0]["reason"], "function_not_found");
  EXPECT_EQ(seen[1]["status"], 201);
  EXPECT_EQ(seen[1]["reason"], "");
  EXPECT_EQ(seen[1]["app"], (api::Json{{"id", "id"}, {"name", "ci"}}));
  EXPECT_EQ(seen[1]["address"], "192.0.2.1");
  EXPECT_EQ(seen[1]["space"], "default");
}

TEST_F(ManagementAuditTest, HoldsNoSecret) {
  send("PUT", "/spaces/default/secrets/KEY", R"({"value":"hunter2"})");
  send("POST", "/spaces/default/apps", R"({"name":"ci","scopes":["app"]})");
  send("GET", "/spaces/default/signing-secret");
  const api::Json seen = entries();
  EXPECT_EQ(seen.size(), 3U) << "reading the signing secret too";
  for (const char* secret : {"hunter2", "sterna_secret_", "whsec_"})
    EXPECT_FALSE(seen.dump().contains(secret));
  EXPECT_EQ(seen[0]["app"], nullptr) << "access is not checked";
}

TEST_F(ManagementAuditTest, IsKeptForEachSpaceAndTheServer) {
  send("POST", "/spaces", R"({"name":"lab"})");
  clock_.advance(std::chrono::milliseconds(1));
  send("POST", "/spaces/lab/functions", R"({"name":"f"})");
  EXPECT_EQ(entries("/spaces/lab/audit").size(), 1U);
  EXPECT_TRUE(entries().empty());
  EXPECT_EQ(entries("/audit").size(), 2U);
  send("DELETE", "/spaces/lab?force=true");
  EXPECT_EQ(reason(404, "GET", "/spaces/lab/audit"), "space_not_found");
  clock_.advance(std::chrono::milliseconds(1));
  send("POST", "/spaces", R"({"name":"lab"})");
  EXPECT_TRUE(entries("/spaces/lab/audit").empty()) << "its owners are others";
  EXPECT_EQ(entries("/audit").size(), 4U);
}

TEST_F(ManagementAuditTest, KeepsWhatWasRefusedBeforeItsBody) {
  ManagementRequest request;
  request.method = "DELETE";
  request.path = "/spaces/default/functions/f";
  request.caller = caller_;
  management_->refused(request, 403, "insufficient_scope");
  request.method = "GET";
  management_->refused(request, 403, "insufficient_scope");
  const api::Json seen = entries();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0]["status"], 403);
}

TEST_F(ManagementAuditTest, WhoIsOfAnotherSpaceFillsTheLogOfHisOwn) {
  send("POST", "/spaces", R"({"name":"ops"})");
  caller_ = app_of("ops");
  management_->refused(deletion("/spaces/default/functions/f"), 403, "space_not_granted");
  management_->refused(deletion("/spaces"), 403, "administrator_only");
  caller_ = auth::unchecked_grant();
  EXPECT_TRUE(entries().empty());
  const api::Json seen = entries("/spaces/ops/audit");
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[1]["path"], "/spaces/default/functions/f");
  EXPECT_EQ(seen[1]["space"], "ops");
}

TEST_F(ManagementAuditTest, OfRefusalsWithoutEndTheNumberIsKept) {
  using Room = Management::Room;
  caller_ = app_of("default");
  const auto refuse = [&](Room room) {
    const ManagementRequest request = deletion("/spaces/default/functions/f");
    if (management_->admits_refusal(request, 403, "insufficient_scope", room))
      management_->refused(request, 403, "insufficient_scope");
  };
  refuse(Room::kNone);
  for (int i = 0; i < 1000; ++i) refuse(Room::kYes);
  for (int i = 0; i < 1000; ++i) send("DELETE", "/spaces/default/functions/absent");
  EXPECT_EQ(entries("/spaces/default/audit?limit=500").size(), 60U);
  create();
  clock_.advance(std::chrono::minutes(1));
  const api::Json seen = entries("/spaces/default/audit?limit=500");
  ASSERT_EQ(seen.size(), 62U);
  EXPECT_EQ(seen[0]["left_out"], 1941);
  EXPECT_EQ(seen[0]["app"]["name"], "ci");
  EXPECT_EQ(seen[1]["status"], 201) << "what is changed is kept always";
  EXPECT_EQ(seen[1]["left_out"], 0);
  ManagementRequest look = deletion("/spaces/default/functions/f");
  look.method = "GET";
  EXPECT_FALSE(management_->admits_refusal(look, 403, "insufficient_scope", Room::kYes));
}

TEST_F(ManagementAuditTest, NamesThatNoSpaceHasShareTheRoomOfTheServer) {
  ManagementRequest request;
  request.method = "DELETE";
  request.path = "/spaces/absent/functions/f";
  request.caller = caller_;
  management_->refused(request, 403, "space_not_granted");
  const api::Json seen = entries("/audit");
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0]["space"], nullptr);
  EXPECT_EQ(seen[0]["path"], "/spaces/absent/functions/f");
}

}  // namespace
}  // namespace sterna::gateway
