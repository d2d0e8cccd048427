#include <gtest/gtest.h>

#include "api/base64.h"
#include "api/json.h"
#include "api/paging.h"
#include "api/problem.h"
#include "api/signing_secret.h"
#include "api/space.h"

namespace sterna::api {
namespace {

TEST(Base64, GoesBothWays) {
  for (const auto& [bytes, text] : {std::pair<std::string, std::string>{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foobar", "Zm9vYmFy"},
                                    {std::string("\0\xff\xfe", 3), "AP/+"}}) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text).value(), bytes);
    EXPECT_EQ(base64url_decode(base64url_encode(bytes)).value(), bytes);
  }
}

TEST(Base64, RefusesWhatIsNotStrict) {
  for (const char* bad : {"Zg", "Zg=", "Zg==\n", " Zg==", "Z===", "====", "Zh==", "Zm9=", "Zm9v!A==", "AP_-",
                          "Zg==Zg==", "Z=g=", "\xff\xff\xff\xff"}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
  EXPECT_FALSE(base64url_decode("AP/+"));
}

TEST(ParseJson, ReadsAndSaysWhereItBreaks) {
  EXPECT_EQ(parse_json(R"({"a":[1,{"b":2}],"b":{"a":1}})").value()["a"][1]["b"], 2);
  const auto broken = parse_json("{\"a\": 1,\n \"b\" 2}");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().reason, "bad_json");
  EXPECT_TRUE(broken.error().detail.starts_with("parse error at line 2, column 6")) << broken.error().detail;
}

TEST(ParseJson, RefusesTraps) {
  EXPECT_FALSE(parse_json(""));
  EXPECT_FALSE(parse_json("{} {}"));
  EXPECT_FALSE(parse_json("{\"a\":\"\xc3\x28\"}"));
  EXPECT_FALSE(parse_json("{\"a\":\"\xed\xa0\x80\"}"));
  EXPECT_FALSE(parse_json("[1e999]"));
  EXPECT_FALSE(parse_json("[NaN]"));
  const auto twice = parse_json(R"({"a":{"x":1,"y":2,"x":3}})");
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().detail.find("\"x\""), std::string::npos);
  EXPECT_FALSE(parse_json(std::string(100'000, '[')));
  EXPECT_FALSE(parse_json(std::string(kMaxJsonDepth + 1, '[') + std::string(kMaxJsonDepth + 1, ']')));
  EXPECT_TRUE(parse_json(std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']')));
}

TEST(ParseJson, BoundsTheNumberOfValues) {
  EXPECT_EQ(parse_json(R"({"a":[1,{"b":2}]})", 5).value()["a"][1]["b"], 2);
  const auto more = parse_json(R"({"a":[1,{"b":2},3]})", 5);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().reason, "bad_json");
  EXPECT_EQ(more.error().detail, "there are more than 5 values");
  std::string many = "[0";
  for (std::size_t i = 2; i < kMaxJsonValues; ++i) many += ",0";
  EXPECT_TRUE(parse_json(many + "]"));
  EXPECT_FALSE(parse_json(many + ",0]"));
}

TEST(ParseJson, TakesTimeInProportionToTheText) {
  std::string objects = "[{}";
  while (objects.size() < 200U << 10U) objects += ",{}";
  objects += "]";
  const SystemClock clock;
  const MonotonicTime begin = clock.now();
  EXPECT_TRUE(parse_json(objects));
  EXPECT_LT(clock.now() - begin, std::chrono::seconds(3));
}

TEST(ParseJson, QuotesLittleOfWhatIsBroken) {
  const auto open = parse_json("\"" + std::string(1U << 20U, 'a'));
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().detail.find("missing closing quote"), std::string::npos) << open.error().detail;
  EXPECT_LT(open.error().detail.size(), 210U);
  const auto twice = parse_json(R"({"a\u0000":1,"a\u0000":2})");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().detail, R"(the key "a\x00" is there twice in one object)");
}

TEST(Dump, ReplacesInvalidUtf8) {
  EXPECT_EQ(dump(OrderedJson{{"a", "x\xff"}}), "{\"a\":\"x\xef\xbf\xbd\"}");
}

TEST(Problem, MapsCodesAndReasonsToStatus) {
  EXPECT_EQ(http_status(Code::kInvalid), 400);
  EXPECT_EQ(http_status(Code::kUnavailable), 503);
  EXPECT_EQ(http_status(Error{Code::kInvalid, Component::kGateway, "body_too_large", ""}), 413);
  EXPECT_EQ(http_status(Error{Code::kNotFound, Component::kGateway, "path_too_deep", ""}), 404);
}

TEST(Problem, HasTheFieldsOfRfc9457AndOurs) {
  Problem problem = to_problem(Error{Code::kNotFound, Component::kRegistry, "function_not_found", "no f"});
  problem.call_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
  EXPECT_EQ(
      to_json(problem),
      R"({"type":"urn:sterna:problem:function_not_found","title":"Not Found","status":404,"detail":"no f",)"
      R"("reason":"function_not_found","component":"registry","call_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV"})");
}

TEST(Problem, ListsFieldErrors) {
  const Problem problem = to_problem(FieldErrors{{"name", "is required"}, {"env", "must be an object"}});
  EXPECT_EQ(problem.status, 422);
  EXPECT_EQ(problem.detail, "name: is required (and 1 more)");
  const Json json = Json::parse(to_json(problem));
  EXPECT_EQ(json["errors"][1]["field"], "env");
  EXPECT_FALSE(json.contains("call_id"));
}

TEST(Paging, ReadsLimitAndCursor) {
  EXPECT_EQ(parse_page(std::nullopt, std::nullopt)->limit, 50U);
  EXPECT_EQ(parse_page("500", make_cursor("last"))->after, "last");
  for (const char* bad : {"0", "501", "-1", "x", "5x", "", "99999999999999999999"}) {
    EXPECT_FALSE(parse_page(bad, std::nullopt)) << bad;
  }
  EXPECT_FALSE(parse_page(std::nullopt, "last"));
  EXPECT_FALSE(parse_page(std::nullopt, std::string(5000, 'A')));
  const auto both = parse_page("0", "?");
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().size(), 2U);
}

TEST(Paging, LastPageHasNoCursor) {
  EXPECT_EQ(dump(page_json(OrderedJson::array(), std::nullopt)),
            R"({"data":[],"paging":{"next_cursor":null}})");
}

TEST(ParseSpace, ReadsWhereCallbacksMayGo) {
  const auto space = parse_space(Json::parse(R"({"name":"a","callback_allow":["10.0.0.0/8","localhost"]})"));
  ASSERT_TRUE(space);
  EXPECT_EQ(space->callback_allow, (std::vector<std::string>{"10.0.0.0/8", "localhost"}));
}

TEST(ParseSpace, GathersAllErrors) {
  const Json all = {{"name", "A b"}, {"callback_allow", {7, "", std::string(301, 'a'), "x"}}, {"color", 1}};
  const auto space = parse_space(all);
  ASSERT_FALSE(space);
  EXPECT_EQ(space.error().size(), 5U);
  EXPECT_EQ(space.error()[1].field, "callback_allow[0]");
  EXPECT_FALSE(parse_space({{"name", "a"}, {"callback_allow", Json(std::vector<std::string>(201, "a"))}}));
  EXPECT_FALSE(parse_space(Json::parse("[]")));
  EXPECT_FALSE(parse_space(Json::parse("{}")));
}

TEST(SigningSecret, NewOnesDifferAndHold32Bytes) {
  const std::string secret = new_signing_secret();
  EXPECT_NE(secret, new_signing_secret());
  ASSERT_TRUE(secret.starts_with("whsec_"));
  EXPECT_EQ(base64_decode(secret.substr(6))->size(), 32U);
}

}  // namespace
}  // namespace sterna::api
