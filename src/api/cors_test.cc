#include "api/cors.h"

#include <gmock/gmock.h>

#include "api/function_json.h"

namespace sterna::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

Validated<FunctionSpec> parse(const std::string& cors) {
  SpecRules rules;
  rules.templates = {"python3-http"};
  return parse_spec(parse_json(R"({"name":"f","cors":)" + cors + "}").value(), rules);
}

std::vector<std::string> wrong_fields(const std::string& cors) {
  const auto spec = parse(cors);
  std::vector<std::string> fields;
  if (spec) return fields;
  for (const FieldError& error : spec.error()) fields.push_back(error.field);
  return fields;
}

std::vector<std::string> wrong_origin(const std::string& origin) {
  return wrong_fields(R"({"allow_origins":[")" + origin + "\"]}");
}

TEST(Cors, NoneUnlessAsked) {
  EXPECT_EQ(parse("null")->cors, std::nullopt);
  EXPECT_TRUE(to_json(*parse("null"))["cors"].is_null());
}

TEST(Cors, OriginsAloneGetDefaults) {
  const auto spec = parse(R"({"allow_origins":["https://app.example.com"]})");
  ASSERT_TRUE(spec);
  ASSERT_TRUE(spec->cors);
  EXPECT_THAT(spec->cors->allow_methods, ElementsAre("GET", "POST", "PUT", "PATCH", "DELETE"));
  EXPECT_THAT(spec->cors->allow_headers, ::testing::Contains("Authorization"));
  EXPECT_THAT(spec->cors->expose_headers, ::testing::Contains("X-Call-Id"));
  EXPECT_FALSE(spec->cors->allow_credentials);
  EXPECT_EQ(spec->cors->max_age_seconds, 600);
}

TEST(Cors, WhatWasWrittenIsReadBackTheSame) {
  const auto spec =
      parse(R"({"allow_origins":["https://a.example","http://[::1]:3000"],"allow_methods":["PUT"],
                              "allow_headers":["X-One"],"expose_headers":[],"allow_credentials":true,
                              "max_age_seconds":5})");
  ASSERT_TRUE(spec);
  EXPECT_EQ(parse(dump(to_json(spec->cors)))->cors, spec->cors);
  EXPECT_THAT(spec->cors->expose_headers, IsEmpty());
}

TEST(Cors, OriginsAreThoseThatBrowsersSend) {
  for (const char* good : {"https://example.com", "http://localhost:5173", "https://127.0.0.1:8443",
                           "http://[::1]", "capacitor://localhost", "https://a_b.example"}) {
    EXPECT_THAT(wrong_origin(good), IsEmpty()) << good;
  }
  for (const char* bad : {"",
                          "null",
                          "example.com",
                          "https://",
                          "https://example.com/",
                          "https://Example.com",
                          "HTTPS://example.com",
                          "https://example.com:443",
                          "http://example.com:80",
                          "https://example.com:0",
                          "https://example.com:65536",
                          "https://example.com:",
                          "https://example.com:08",
                          "https://*.example.com",
                          "https://user@example.com",
                          "https://example.com?x",
                          "https://[::1",
                          "https://[]",
                          "1a://b",
                          "https://ex ample.com",
                          "**"}) {
    EXPECT_THAT(wrong_origin(bad), ElementsAre("cors.allow_origins[0]")) << bad;
  }
}

TEST(Cors, TellsEverythingThatIsWrongAtOnce) {
  EXPECT_THAT(wrong_fields(R"({"allow_origins":["*","https://a.example"],"allow_methods":["get","HEAD","GET"],
                               "allow_headers":["a b"],"expose_headers":7,"allow_credentials":"yes",
                               "max_age_seconds":-1,"origins":[]})"),
              UnorderedElementsAre("cors.allow_origins[0]", "cors.allow_methods[0]", "cors.allow_methods[1]",
                                   "cors.allow_headers[0]", "cors.expose_headers", "cors.allow_credentials",
                                   "cors.max_age_seconds", "cors.origins"));
  EXPECT_THAT(wrong_fields("{}"), ElementsAre("cors.allow_origins"));
  EXPECT_THAT(wrong_fields(R"({"allow_origins":[]})"), ElementsAre("cors.allow_origins"));
  EXPECT_THAT(wrong_fields("[]"), ElementsAre("cors"));
}

TEST(Cors, CredentialsAreNotForEverybody) {
  EXPECT_THAT(wrong_fields(R"({"allow_origins":["*"],"allow_headers":["*"],"allow_credentials":true})"),
              UnorderedElementsAre("cors.allow_origins", "cors.allow_headers"));
}

TEST(Cors, AllowsWhatIsListed) {
  const auto named = parse(R"({"allow_origins":["https://a.example"]})");
  EXPECT_TRUE(allows(*named->cors, "https://a.example"));
  EXPECT_FALSE(allows(*named->cors, "http://a.example"));
  EXPECT_FALSE(allows(*named->cors, "https://a.example:8443"));
  const auto all = parse(R"({"allow_origins":["*"]})");
  EXPECT_TRUE(allows(*all->cors, "null"));
}

}  // namespace
}  // namespace sterna::api
