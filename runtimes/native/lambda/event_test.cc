#include "native/lambda/event.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sterna::native {
namespace {

using Json = nlohmann::json;

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'123)};

struct Sent {
  std::string headers;
  std::uint32_t count = 0;

  Sent& add(std::string_view name, std::string_view value) {
    wire::append_header(headers, name, value);
    ++count;
    return *this;
  }
};

Json event_of(const Sent& sent, std::string_view path, std::string_view query, std::string_view body) {
  const wire::RequestHead head{
      .method = "POST", .path = path, .query = query, .header_count = sent.count, .headers = sent.headers};
  return Json::parse(http_event(head, body, {.function = "hello", .space = "default"}, kNow));
}

TEST(HttpEvent, HasTheShapeOfPayloadFormat2) {
  Sent sent;
  sent.add("Host", "api.example:80").add("User-Agent", "curl").add("X-Call-Id", "01J");
  sent.add("X-Forwarded-For", "10.0.0.1, 10.0.0.2").add("Content-Type", "text/plain");
  const Json event = event_of(sent, "/a b/\xc3\xa9", "x=1", "text \"quoted\"\n");
  EXPECT_EQ(event, Json::parse(R"({
    "version": "2.0", "routeKey": "$default", "rawPath": "/a%20b/%C3%A9", "rawQueryString": "x=1",
    "headers": {"host": "api.example:80", "user-agent": "curl", "x-call-id": "01J",
                "x-forwarded-for": "10.0.0.1, 10.0.0.2", "content-type": "text/plain"},
    "queryStringParameters": {"x": "1"},
    "requestContext": {
      "accountId": "000000000000", "apiId": "default", "domainName": "api.example:80", "domainPrefix": "hello",
      "http": {"method": "POST", "path": "/a%20b/%C3%A9", "protocol": "HTTP/1.1", "sourceIp": "10.0.0.2",
               "userAgent": "curl"},
      "requestId": "01J", "routeKey": "$default", "stage": "$default",
      "time": "14/Nov/2023:22:13:20 +0000", "timeEpoch": 1700000000123},
    "body": "text \"quoted\"\n", "isBase64Encoded": false})"));
}

TEST(HttpEvent, JoinsWhatIsRepeatedAndSplitsCookies) {
  Sent sent;
  sent.add("X-One", "1").add("x-one", "2").add("Cookie", "a=1; b=\"2\"").add("cookie", "c=3");
  const Json event = event_of(sent, "/", "a=1&b=%2C+x&a=2&bare&=&c=%zz&d=%", "");
  EXPECT_EQ(event["headers"], Json({{"x-one", "1,2"}}));
  EXPECT_EQ(event["cookies"], Json({"a=1", "b=\"2\"", "c=3"}));
  EXPECT_EQ(event["queryStringParameters"],
            Json({{"a", "1,2"}, {"b", ", x"}, {"bare", ""}, {"", ""}, {"c", "%zz"}, {"d", "%"}}));
  EXPECT_EQ(event["rawQueryString"], "a=1&b=%2C+x&a=2&bare&=&c=%zz&d=%");
}

TEST(HttpEvent, LeavesOutWhatIsNotThere) {
  const Json event = event_of({}, "/", "", "");
  for (const char* name : {"cookies", "queryStringParameters", "body"})
    EXPECT_FALSE(event.contains(name)) << name;
  EXPECT_EQ(event["isBase64Encoded"], false);
}

TEST(HttpEvent, ABodyIsTextWhenItsTypeSaysSoAndItIsUtf8) {
  const auto body_of = [](const char* type, std::string_view body) {
    Sent sent;
    if (*type != '\0') sent.add("Content-Type", type);
    const Json event = event_of(sent, "/", "", body);
    return std::pair(event["body"].get<std::string>(), event["isBase64Encoded"].get<bool>());
  };
  for (const char* type :
       {"text/csv", "application/json", "Application/JSON ; charset=utf-8", "application/a+json",
        "application/xml", "application/a+xml", "application/javascript"}) {
    EXPECT_EQ(body_of(type, "{}"), std::pair(std::string("{}"), false)) << type;
  }
  for (const char* type : {"", "application/x-www-form-urlencoded", "image/png", "json"}) {
    EXPECT_EQ(body_of(type, "{}"), std::pair(std::string("e30="), true)) << type;
  }
  EXPECT_EQ(body_of("text/plain", "\xff"), std::pair(std::string("/w=="), true));
}

TEST(HttpEvent, StaysJsonWithBytesThatAreNoText) {
  Sent sent;
  sent.add("X-Odd", "caf\xe9\x01\"\\");
  const Json event = event_of(sent, "/\xff", "\xfe=%FF", "");
  EXPECT_EQ(event["headers"]["x-odd"], "caf\xef\xbf\xbd\x01\"\\");
  EXPECT_EQ(event["rawPath"], "/%FF");
}

TEST(XrayTrace, IsMadeOfATraceparent) {
  EXPECT_EQ(xray_trace("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"),
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1");
  EXPECT_TRUE(xray_trace("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00").ends_with("Sampled=0"));
  EXPECT_EQ(xray_trace(""), "");
}

}  // namespace
}  // namespace sterna::native
