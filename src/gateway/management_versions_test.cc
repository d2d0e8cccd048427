#include "gateway/management_fixture.h"

namespace sterna::gateway {
namespace {

class ManagementVersionsTest : public ManagementFixture {
 protected:
  static std::string path(std::string_view tail) {
    return std::string(kMotion) + "/versions" + std::string(tail);
  }
};

TEST_F(ManagementVersionsTest, OneIsShownWithItsSettings) {
  create("one");
  expect(200, "PATCH", kMotion, R"({"limits":{"memory_mb":256}})");
  const api::Json first = expect(200, "GET", path("/1"));
  EXPECT_EQ(first["version"], 1);
  EXPECT_EQ(first["spec"]["limits"]["memory_mb"], 128);
  EXPECT_EQ(first["spec"]["name"], "motion");
  EXPECT_EQ(expect(200, "GET", path("/2"))["spec"]["limits"]["memory_mb"], 256);
  EXPECT_EQ(expect(200, "GET", path("/1"))["bundle"], first["bundle"]);
  EXPECT_EQ(reason(404, "GET", path("/3")), "version_not_found");
  for (const char* tail :
       {"/0", "/-1", "/x", "/1x", "/99999999999999999999", "/1/spec", "/1/diff", "/1/diff/x"}) {
    EXPECT_EQ(reason(404, "GET", path(tail)), "not_found") << tail;
  }
  EXPECT_EQ(header(send("DELETE", path("/1")), "Allow"), "GET, HEAD");
}

TEST_F(ManagementVersionsTest, DiffNamesSettingsAndShowsText) {
  create("def handle(req):\n    return 1\n");
  expect(200, "PATCH", kMotion,
         R"({"limits":{"memory_mb":256},"env":{"A":"1"},"source":{"code":")" +
             api::base64_encode("def handle(req):\n    return 2\n") + "\"}}");
  const api::Json diff = expect(200, "GET", path("/1/diff/2"));
  EXPECT_EQ(diff["from"], 1);
  EXPECT_EQ(diff["to"], 2);
  EXPECT_EQ(diff["settings"], api::Json::parse(R"([{"field":"env.A","from":null,"to":"1"},
                                                   {"field":"limits.memory_mb","from":128,"to":256}])"));
  EXPECT_EQ(diff["files"],
            api::Json::parse(R"([{"path":"handler.py","change":"changed","from_bytes":30,"to_bytes":30,
      "diff":"--- a/handler.py\n+++ b/handler.py\n@@ -1,2 +1,2 @@\n def handle(req):\n-    return 1\n+    return 2\n"}])"));
  EXPECT_EQ(diff["truncated"], false);
  const api::Json back = expect(200, "GET", path("/2/diff/1"));
  EXPECT_EQ(back["settings"][0]["from"], "1");
  const api::Json same = expect(200, "GET", path("/1/diff/1"));
  EXPECT_TRUE(same["settings"].empty());
  EXPECT_TRUE(same["files"].empty());
  EXPECT_EQ(reason(404, "GET", path("/1/diff/7")), "version_not_found");
  EXPECT_EQ(reason(404, "GET", "/spaces/default/functions/nobody/versions/1/diff/2"), "function_not_found");
}

TEST_F(ManagementVersionsTest, CodeThatCameLaterIsAllAdded) {
  expect(201, "POST", "/spaces/default/functions", R"({"name":"motion"})");
  expect(200, "PUT", std::string(kMotion) + "/code", R"({"code":"eA=="})");
  const api::Json diff = expect(200, "GET", path("/1/diff/2"));
  ASSERT_EQ(diff["files"].size(), 1U);
  EXPECT_EQ(diff["files"][0]["change"], "added");
  EXPECT_EQ(diff["files"][0]["from_bytes"], nullptr);
}

}  // namespace
}  // namespace sterna::gateway
