#include "api/quota.h"

#include <gmock/gmock.h>

#include "api/space.h"

namespace sterna::api {
namespace {

using ::testing::UnorderedElementsAre;

Validated<SpaceSpec> parse(const std::string& quota) {
  return parse_space(Json::parse(R"({"name":"lab","quota":)" + quota + "}"));
}

TEST(Quota, WhatWasWrittenIsReadBackTheSame) {
  const auto space = parse(R"({"functions":3,"code_bytes":0,"apps":null})");
  ASSERT_TRUE(space);
  EXPECT_EQ(space->quota.functions, 3);
  EXPECT_EQ(space->quota.code_bytes, 0);
  EXPECT_EQ(space->quota.apps, std::nullopt);
  EXPECT_EQ(parse_space(Json(to_json(*space)))->quota, space->quota);
}

TEST(Quota, TellsEverythingThatIsWrongAtOnce) {
  const auto space = parse(R"({"functions":-1,"replicas":1.5,"secrets":"many","disk":1})");
  ASSERT_FALSE(space);
  std::vector<std::string> fields;
  for (const FieldError& error : space.error()) fields.push_back(error.field);
  EXPECT_THAT(fields,
              UnorderedElementsAre("quota.functions", "quota.replicas", "quota.secrets", "quota.disk"));
}

TEST(Quota, DefaultsFillWhatIsNotSaid) {
  Quota own;
  own.functions = 0;
  Quota defaults;
  defaults.functions = 5;
  defaults.apps = 7;
  const Quota all = with_defaults(own, defaults);
  EXPECT_EQ(all.functions, 0);
  EXPECT_EQ(all.apps, 7);
  EXPECT_EQ(all.secrets, std::nullopt);
}

TEST(Quota, ZeroAndNothingAreNoLimit) {
  EXPECT_FALSE(is_over(std::nullopt, 100));
  EXPECT_FALSE(is_over(0, 100));
  EXPECT_FALSE(is_over(100, 100));
  EXPECT_TRUE(is_over(100, 101));
}

}  // namespace
}  // namespace sterna::api
