#include "gateway/function_request.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "wire/messages.h"

namespace sterna::gateway {
namespace {

constexpr std::string_view kTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr std::string_view kCallId = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

class FunctionRequestTest : public ::testing::Test {
 protected:
  // The values that the function gets under that name.
  std::vector<std::string> values(std::string_view name) {
    const std::string payload = encode_request(request_, context_, ids_);
    wire::RequestHead head;
    std::string_view body;
    EXPECT_TRUE(wire::read_request(payload, head, body));
    EXPECT_EQ(body, "");
    std::vector<std::string> found;
    wire::HeaderWalk walk(head.headers, head.header_count);
    std::string_view key;
    std::string_view value;
    while (walk.next(key, value)) {
      if (net::equal_ignoring_case(key, name)) found.emplace_back(value);
    }
    EXPECT_TRUE(walk.ok());
    return found;
  }
  std::string value(std::string_view name) {
    const auto found = values(name);
    EXPECT_EQ(found.size(), 1U) << name;
    return found.empty() ? "" : found.front();
  }
  void add(std::string_view name, std::string_view value) { request_.headers.push_back({name, value}); }

  SystemClock clock_;
  UlidGenerator ids_{clock_};
  net::HttpRequest request_{.method = "POST", .target = "/x", .headers = {}, .content_length = {}};
  RequestContext context_{.client = "127.0.0.9", .path = "/a b", .query = "q=1", .call_id = kCallId};
};

TEST_F(FunctionRequestTest, CarriesTheRequest) {
  add("Host", "example:80");
  add("X-Two", "1");
  add("x-two", "2");
  const std::string payload = encode_request(request_, context_, ids_);
  wire::RequestHead head;
  std::string_view body;
  ASSERT_TRUE(wire::read_request(payload, head, body));
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.path, "/a b");
  EXPECT_EQ(head.query, "q=1");
  EXPECT_EQ(values("X-Two"), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(value("Host"), "example:80");
}

TEST_F(FunctionRequestTest, AddsWhatSternaKnows) {
  add("Host", "example:80");
  EXPECT_EQ(value("X-Call-Id"), kCallId);
  EXPECT_EQ(value("X-Forwarded-For"), "127.0.0.9");
  EXPECT_EQ(value("X-Forwarded-Proto"), "http");
  EXPECT_EQ(value("X-Forwarded-Host"), "example:80");
  EXPECT_TRUE(read_traceparent(value("traceparent"))) << value("traceparent");
}

TEST_F(FunctionRequestTest, GoesOnWithWhatProxiesSaid) {
  add("Host", "inner");
  add("X-Forwarded-For", "10.0.0.1");
  add("x-forwarded-for", "10.0.0.2");
  add("X-Forwarded-Proto", "https");
  add("X-Forwarded-Host", "outer");
  add("Traceparent", kTrace);
  EXPECT_EQ(value("X-Forwarded-For"), "10.0.0.1, 10.0.0.2, 127.0.0.9");
  EXPECT_EQ(value("X-Forwarded-Proto"), "https");
  EXPECT_EQ(value("X-Forwarded-Host"), "outer");
  EXPECT_EQ(value("traceparent"), kTrace);
}

TEST_F(FunctionRequestTest, DropsWhatIsForOneConnection) {
  for (const char* name :
       {"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
        "Proxy-Authorization", "Proxy-Authenticate", "Expect"}) {
    add(name, "x-secret ,\tX-Other");
  }
  add("X-Secret", "1");
  add("x-other", "2");
  add("X-Secrets", "3");
  for (const char* gone :
       {"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
        "Proxy-Authorization", "Proxy-Authenticate", "Expect", "X-Secret", "X-Other"}) {
    EXPECT_TRUE(values(gone).empty()) << gone;
  }
  EXPECT_EQ(value("X-Secrets"), "3");
}

TEST_F(FunctionRequestTest, EveryConnectionHeaderCounts) {
  add("Connection", "keep-alive");
  add("Connection", "X-Secret");
  add("X-Secret", "1");
  EXPECT_TRUE(values("X-Secret").empty());
}

// A client must not take away what Sterna says by naming it in Connection.
TEST_F(FunctionRequestTest, ConnectionCannotTakeTheCallIdAway) {
  add("Connection", "X-Call-Id, X-Forwarded-For");
  add("X-Call-Id", "mine");
  EXPECT_EQ(value("X-Call-Id"), kCallId);
  EXPECT_EQ(value("X-Forwarded-For"), "127.0.0.9");
}

TEST_F(FunctionRequestTest, PlatformTokenStaysOutside) {
  add("Authorization", "bEARER abc");
  EXPECT_TRUE(values("Authorization").empty());
  context_.access = api::Access::kPublic;
  EXPECT_EQ(value("Authorization"), "bEARER abc");
}

TEST_F(FunctionRequestTest, OtherAuthorizationIsTheFunctions) {
  add("Authorization", "Basic abc");
  EXPECT_EQ(value("Authorization"), "Basic abc");
}

TEST_F(FunctionRequestTest, InvalidTraceIsReplaced) {
  add("traceparent", "00-nonsense");
  EXPECT_TRUE(read_traceparent(value("traceparent")));
}

TEST_F(FunctionRequestTest, TracestateGoesWithItsTraceparent) {
  add("tracestate", "a=1");
  add("Traceparent", kTrace);
  add("Tracestate", "b=2");
  EXPECT_EQ(values("tracestate"), (std::vector<std::string>{"a=1", "b=2"}));
  request_.headers[1].value = "00-nonsense";
  EXPECT_TRUE(values("tracestate").empty());
  EXPECT_EQ(values("traceparent").size(), 1U);
  request_.headers.erase(request_.headers.begin() + 1);
  EXPECT_TRUE(values("tracestate").empty());
}

TEST_F(FunctionRequestTest, LaterTraceIsGoneOnWith) {
  add("traceparent", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more");
  add("tracestate", "a=1");
  EXPECT_EQ(value("traceparent"), kTrace);
  EXPECT_EQ(value("tracestate"), "a=1");
}

TEST_F(FunctionRequestTest, ConnectionCannotTakeTheHostAway) {
  add("Host", "example:80");
  add("Connection", "Host, X-Forwarded-Host, Authorization");
  add("Authorization", "Basic abc");
  EXPECT_EQ(value("Host"), "example:80");
  EXPECT_EQ(value("X-Forwarded-Host"), "example:80");
  EXPECT_EQ(value("Authorization"), "Basic abc");
}

TEST_F(FunctionRequestTest, CallIdOfTheClientMustBeAUlid) {
  EXPECT_TRUE(is_ulid(call_id_of(request_, ids_)));
  add("x-call-ID", kCallId);
  EXPECT_EQ(call_id_of(request_, ids_), kCallId);
  request_.headers.clear();
  add("X-Call-Id", "not one");
  EXPECT_TRUE(is_ulid(call_id_of(request_, ids_)));
}

std::string read(std::string_view value) {
  const auto trace = read_traceparent(value);
  return trace ? std::string(trace->begin(), trace->end()) : "none";
}

TEST(Traceparent, OnlyWellFormedOnes) {
  EXPECT_EQ(read(kTrace), kTrace);
  for (const char* bad : {"", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                          "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                          "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                          "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                          "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                          "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
                          "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
                          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                          "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x"}) {
    EXPECT_EQ(read(bad), "none") << bad;
  }
}

// W3C Trace Context 3.2.4: of what is not known yet, what is known is used.
TEST(Traceparent, LaterVersionsBecomeOurs) {
  const std::string ids = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
  EXPECT_EQ(read("01-" + ids + "-01"), kTrace);
  EXPECT_EQ(read("cc-" + ids + "-ff-what-the-future-says"), kTrace);
  EXPECT_EQ(read("01-" + ids + "-02"), "00-" + ids + "-00");
}

}  // namespace
}  // namespace sterna::gateway
