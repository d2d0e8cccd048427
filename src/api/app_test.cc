#include "api/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sterna::api {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

Validated<AppSpec> parse(std::string_view text) {
  return parse_app(*parse_json(text));
}

std::vector<std::string> wrong_fields(std::string_view text) {
  const auto spec = parse(text);
  std::vector<std::string> fields;
  if (!spec) {
    for (const FieldError& error : spec.error()) fields.push_back(error.field);
  }
  return fields;
}

TEST(App, IsReadWithItsDefaults) {
  const auto spec = parse(R"({"name":"ci","scopes":["function"]})");
  ASSERT_TRUE(spec);
  EXPECT_EQ(*spec, (AppSpec{.name = "ci",
                            .description = "",
                            .scopes = {"function"},
                            .functions = {},
                            .expires_at = std::nullopt,
                            .disabled = false}));
}

TEST(App, ComesBackAsItWasWritten) {
  const auto spec = parse(
      R"({"name":"ci","description":"d","scopes":["function.read","app"],"functions":["g","f","g"],
          "expires_at":"2030-01-02T03:04:05+01:00","disabled":true,"id":"x","created_at":"y"})");
  ASSERT_TRUE(spec);
  EXPECT_THAT(spec->functions, ElementsAre("f", "g"));
  EXPECT_EQ(to_json(*spec)["expires_at"], "2030-01-02T02:04:05.000Z");
  EXPECT_EQ(parse_app(Json(to_json(*spec))), *spec);
}

TEST(App, EverythingWrongIsSaidAtOnce) {
  EXPECT_THAT(wrong_fields(R"({"name":"No","scopes":["app",7,""],"functions":["f","F"],"expires_at":"soon",
                               "disabled":"no","secret":"s"})"),
              UnorderedElementsAre("name", "scopes[1]", "scopes[2]", "functions[1]", "expires_at", "disabled",
                                   "secret"));
  EXPECT_THAT(wrong_fields(R"({"scopes":"app"})"), UnorderedElementsAre("name", "scopes"));
  EXPECT_THAT(wrong_fields(R"({"name":"a"})"), ElementsAre("scopes"));
  EXPECT_THAT(wrong_fields(R"({"name":"a","scopes":[]})"), ElementsAre("scopes"));
  EXPECT_THAT(wrong_fields(R"({"name":"a","scopes":["app"],"expires_at":7})"), ElementsAre("expires_at"));
  EXPECT_FALSE(parse("[]"));
}

}  // namespace
}  // namespace sterna::api
