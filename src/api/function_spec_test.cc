#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/function_json.h"

namespace sterna::api {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const SpecRules& rules() {
  static const SpecRules kRules{{"python3-http", "python3", "python3.11-http", "http"}, {}};
  return kRules;
}

Validated<FunctionSpec> parse(const std::string& text) {
  return parse_spec(Json::parse(text), rules());
}

std::vector<std::string> wrong_fields(const std::string& text) {
  const auto spec = parse(text);
  std::vector<std::string> fields;
  if (spec) return fields;
  for (const FieldError& error : spec.error()) {
    EXPECT_NE(error.message, "");
    fields.push_back(error.field);
  }
  return fields;
}

// {"name":"f","limits":{<limits>}}
std::vector<std::string> wrong_limits(const std::string& limits) {
  return wrong_fields(R"({"name":"f","limits":{)" + limits + "}}");
}

TEST(ParseSpec, NameAloneGetsAllDefaults) {
  const auto spec = parse(R"({"name":"motion"})");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->template_name, "python3-http");
  EXPECT_EQ(spec->limits, Limits{});
  EXPECT_EQ(spec->limits.timeout, std::chrono::seconds(30));
  EXPECT_EQ(spec->async.retry_on, (std::vector<std::int64_t>{408, 425, 429, 502, 503, 504}));
  EXPECT_EQ(spec->async.concurrency, std::nullopt);
  EXPECT_EQ(spec->callback.max_attempts, 8);
  EXPECT_EQ(spec->access, Access::kToken);
}

TEST(ParseSpec, ReadsTheExampleOfTheContract) {
  const auto spec = parse(R"({"name": "motion", "description": "", "template": "python3-http",
    "env": {"MIN": "2"}, "secrets": ["DB_PASSWORD"], "source": {"code": "eA=="},
    "options": {"topics": "room/+/motion", "schedule": "*/5 * * * *", "n": 3, "r": 0.5, "on": false},
    "limits": {"timeout_seconds": 0.5, "memory_mb": 128, "cpus": 1.0, "max_pids": 64, "concurrency": 1,
               "min_replicas": 0, "max_replicas": 4.0, "idle_seconds": 0, "network": "none"},
    "async": {"max_attempts": 3}, "access": "public"})");
  ASSERT_TRUE(spec) << spec.error()[0].field << " " << spec.error()[0].message;
  EXPECT_EQ(spec->env.at("MIN"), "2");
  EXPECT_EQ(spec->options.at("n"), OptionValue(std::int64_t{3}));
  EXPECT_EQ(spec->options.at("on"), OptionValue(false));
  EXPECT_EQ(spec->limits.timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(spec->limits.idle, Duration(0));
  EXPECT_EQ(spec->limits.concurrency, 1);
  EXPECT_EQ(spec->limits.network, Network::kNone);
  EXPECT_EQ(spec->access, Access::kPublic);
}

TEST(ParseSpec, WhatWasWrittenIsReadBackTheSame) {
  const auto spec = parse(R"({"name":"f","env":{"A":"b"},"options":{"x":1.5},"limits":{"timeout_seconds":0.1},
                              "async":{"retry_on":[500],"concurrency":7},"callback":{"max_attempts":2},
                              "access":"internal"})");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->async.concurrency, 7);
  EXPECT_EQ(spec->callback.max_attempts, 2);
  EXPECT_EQ(parse(dump(to_json(*spec))).value(), *spec);
}

TEST(ParseSpec, BodiesComeInPartsOnlyToTemplatesThatReadThem) {
  EXPECT_TRUE(parse(R"({"name":"f"})")->request_buffering);
  const auto http = parse(R"({"name":"f","template":"http","request_buffering":false})");
  ASSERT_TRUE(http);
  EXPECT_FALSE(http->request_buffering);
  EXPECT_EQ(parse(dump(to_json(*http))).value(), *http);
  EXPECT_TRUE(parse(R"({"name":"f","request_buffering":true})"));
  const auto python = parse(R"({"name":"f","template":"python3","request_buffering":false})");
  ASSERT_FALSE(python);
  EXPECT_EQ(python.error()[0].field, "request_buffering");
  EXPECT_NE(python.error()[0].message.find("http or command"), std::string::npos);
  EXPECT_THAT(wrong_fields(R"({"name":"f","template":"http","request_buffering":"no"})"),
              UnorderedElementsAre("request_buffering"));
}

TEST(ParseSpec, TellsEverythingThatIsWrongAtOnce) {
  EXPECT_THAT(
      wrong_fields(R"({"name":"Bad Name","description":5,"template":"cobol","env":{"1X":"a","Y":7},
      "secrets":["ok","ok","a-b"],"options":{"o":[]},"limits":{"memory_mb":"lots","bogus":1},"async":{"retry_on":[20],
      "concurrency":0},"callback":{"max_attempts":101,"url":1},"access":"everyone","colour":"red"})"),
      UnorderedElementsAre("name", "description", "template", "env.1X", "env.Y", "secrets[1]", "secrets[2]",
                           "options.o", "limits.memory_mb", "limits.bogus", "async.retry_on",
                           "async.concurrency", "callback.max_attempts", "callback.url", "access", "colour"));
}

TEST(ParseSpec, NullMeansTheDefault) {
  const auto spec =
      parse(R"({"name":"f","limits":{"memory_mb":null},"env":null,"access":null,"template":null})");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->limits, Limits{});
}

TEST(ParseSpec, ReadOnlyFieldsOfAnswersAreIgnored) {
  EXPECT_THAT(
      wrong_fields(R"({"name":"f","id":"x","space":"s","status":"Running","status_reason":"","version":3,
      "active_version":2,"traffic":[],"runtime":"","metrics":{},"created_at":"","updated_at":""})"),
      IsEmpty());
}

TEST(ParseSpec, ChecksRanges) {
  for (const char* good :
       {R"("timeout_seconds":0.01)", R"("timeout_seconds":3600)", R"("memory_mb":16)", R"("memory_mb":65536)",
        R"("cpus":0.01)", R"("cpus":64)", R"("max_pids":4)", R"("max_pids":4096)", R"("concurrency":1000)",
        R"("min_replicas":100,"max_replicas":100)", R"("idle_seconds":86400)", R"("network":"host")"}) {
    EXPECT_THAT(wrong_limits(good), IsEmpty()) << good;
  }
  for (const char* bad : {R"("timeout_seconds":0)",
                          R"("timeout_seconds":0.009)",
                          R"("timeout_seconds":86401)",
                          R"("timeout_seconds":"30")",
                          R"("memory_mb":15)",
                          R"("memory_mb":65537)",
                          R"("memory_mb":128.5)",
                          R"("cpus":0)",
                          R"("cpus":64.1)",
                          R"("max_pids":3)",
                          R"("max_pids":4097)",
                          R"("concurrency":0)",
                          R"("concurrency":1001)",
                          R"("concurrency":true)",
                          R"("min_replicas":-1)",
                          R"("min_replicas":5)",
                          R"("max_replicas":101)",
                          R"("max_replicas":0)",
                          R"("idle_seconds":-1)",
                          R"("idle_seconds":1e300)",
                          R"("network":"internet")",
                          R"("max_body_bytes":-1)",
                          R"("memory_mb":18446744073709551615)"}) {
    EXPECT_EQ(wrong_limits(bad).size(), 1U) << bad;
  }
}

TEST(ParseSpec, BodiesAreNoLargerThanTheServersLimit) {
  SpecRules rules{.templates = {"python3-http"}, .default_limits = {}, .max_body_bytes = 1000};
  const auto with = [&](int bytes) {
    return parse_spec({{"name", "f"}, {"limits", {{"max_body_bytes", bytes}}}}, rules);
  };
  EXPECT_EQ(with(1000)->limits.max_body_bytes, 1000);
  const auto refused = with(1001);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), (FieldErrors{{"limits.max_body_bytes",
                                           "a whole number from 0 to 1000, which is the server's "
                                           "limits.max_body_bytes"}}));
}

TEST(ParseSpec, NetworkHostNeedsTheServersConsent) {
  SpecRules rules{.templates = {"python3-http"}, .default_limits = {}};
  const Json wants_host = *parse_json(R"({"name":"f","limits":{"network":"host"}})");
  EXPECT_TRUE(parse_spec(wants_host, rules));
  rules.allow_network_host = false;
  const auto refused = parse_spec(wants_host, rules);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), (FieldErrors{{"limits.network", std::string(kNetworkHostRefused)}}));
  for (const char* other : {R"({"name":"f"})", R"({"name":"f","limits":{"network":"egress"}})"}) {
    EXPECT_TRUE(parse_spec(*parse_json(other), rules)) << other;
  }
}

TEST(ParseSpec, OnlySomeTemplatesTakeACommand) {
  const auto spec = parse(R"({"name":"f","template":"http","command":["node","server.js","$PORT"]})");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->command, (std::vector<std::string>{"node", "server.js", "$PORT"}));
  EXPECT_EQ(parse(dump(to_json(*spec))).value(), *spec);
  EXPECT_THAT(wrong_fields(R"({"name":"f","command":[]})"), IsEmpty());
  EXPECT_THAT(wrong_fields(R"({"name":"f","command":["x"]})"), UnorderedElementsAre("command"));
}

TEST(ParseSpec, ChecksCommands) {
  const auto wrong_command = [](const std::string& command) {
    return wrong_fields(R"({"name":"f","template":"http","command":)" + command + "}");
  };
  EXPECT_THAT(wrong_command(R"("node server.js")"), UnorderedElementsAre("command"));
  EXPECT_THAT(wrong_command(R"([""])"), UnorderedElementsAre("command[0]"));
  EXPECT_THAT(wrong_command(R"(["a","",7])"), UnorderedElementsAre("command[2]"));
  EXPECT_THAT(wrong_command(R"(["a\u0000b"])"), UnorderedElementsAre("command[0]"));
  EXPECT_THAT(wrong_command(R"([")" + std::string(20000, 'x') + R"("])"), UnorderedElementsAre("command"));
}

TEST(ParseSpec, ChecksVariables) {
  EXPECT_THAT(wrong_fields(R"({"name":"f","env":{"_a1":"","PATH_":"x=y\n"}})"), IsEmpty());
  EXPECT_THAT(wrong_fields(R"({"name":"f","env":{"STERNA_X":"a"}})"), UnorderedElementsAre("env.STERNA_X"));
  EXPECT_THAT(wrong_fields(R"({"name":"f","env":{"":"a"}})"), UnorderedElementsAre("env."));
  EXPECT_THAT(wrong_fields(R"({"name":"f","env":{"A":"a\u0000b"}})"), UnorderedElementsAre("env.A"));
  EXPECT_THAT(wrong_fields(R"({"name":"f","env":{"A":"x"},"secrets":["A"]})"),
              UnorderedElementsAre("secrets[0]"));
  EXPECT_THAT(wrong_fields(R"({"name":"f","env":{"A":")" + std::string(65000, 'x') + R"("}})"), IsEmpty());
  EXPECT_THAT(wrong_fields(R"({"name":"f","env":{"A":")" + std::string(65537, 'x') + R"("}})"),
              UnorderedElementsAre("env"));
}

TEST(ParseSpec, ErrorsAreBounded) {
  Json json = {{"name", "f"}};
  for (int i = 0; i < 1000; ++i) json["field" + std::to_string(i)] = 1;
  EXPECT_EQ(parse_spec(json, rules()).error().size(), kMaxFieldErrors);
}

TEST(ParseSpec, RefusesWhatIsNoObject) {
  EXPECT_EQ(wrong_fields("[]").size(), 1U);
  EXPECT_EQ(wrong_fields("7").size(), 1U);
  EXPECT_THAT(
      wrong_fields(R"({"name":"f","limits":7,"async":[],"callback":1,"env":[],"secrets":{},"options":1})"),
      UnorderedElementsAre("limits", "async", "callback", "env", "secrets", "options"));
}

TEST(ParseSpec, DefaultsComeFromTheServer) {
  SpecRules own = rules();
  own.default_limits.memory_mb = 512;
  EXPECT_EQ(parse_spec(Json{{"name", "f"}}, own)->limits.memory_mb, 512);
}

TEST(SpecJson, ShowsTheConcurrencyInForce) {
  FunctionSpec spec;
  EXPECT_FALSE(to_json(spec)["limits"].contains("concurrency"));
  EXPECT_EQ(to_json(spec, std::nullopt)["limits"]["concurrency"], 1);
  EXPECT_EQ(to_json(spec, false)["limits"]["concurrency"], 1);
  EXPECT_EQ(to_json(spec, true)["limits"]["concurrency"], 64);
  spec.limits.concurrency = 5;
  EXPECT_EQ(to_json(spec, true)["limits"]["concurrency"], 5);
}

TEST(SpecJson, ATemplateMayHaveAConcurrencyOfItsOwn) {
  FunctionSpec spec;
  spec.template_name = "http";
  EXPECT_EQ(to_json(spec, std::nullopt)["limits"]["concurrency"], 64);
  spec.template_name = "lambda";
  EXPECT_EQ(to_json(spec, true)["limits"]["concurrency"], 1);
}

TEST(SpecJson, WholeSecondsAreIntegers) {
  EXPECT_EQ(dump(seconds_json(std::chrono::seconds(30))), "30");
  EXPECT_EQ(dump(seconds_json(std::chrono::milliseconds(100))), "0.1");
}

}  // namespace
}  // namespace sterna::api
