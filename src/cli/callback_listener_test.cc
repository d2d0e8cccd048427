#include "cli/callback_listener.h"

#include <gmock/gmock.h>

#include <thread>

#include "callback/signature.h"
#include "cli/commands.h"
#include "cli/run_program.h"
#include "cli/test_server.h"

namespace sterna::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
const std::string kOtherSecret = "whsec_YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAx";

HttpRequest callback(std::string body, const std::string& secret) {
  const auto now = std::chrono::floor<std::chrono::seconds>(SystemClock().wall()).time_since_epoch().count();
  HttpRequest request;
  request.method = "POST";
  request.headers = {"X-Function-Name: motion", "X-Function-Space: team", "X-Call-Id: C1",
                     "X-Function-Status: 201",  "X-Attempt: 2",           "Content-Type: text/plain"};
  if (!secret.empty()) {
    request.headers.emplace_back("webhook-id: C1");
    request.headers.push_back("webhook-timestamp: " + std::to_string(now));
    request.headers.push_back("webhook-signature: " + callback::sign({&secret, 1}, "C1", now, body).value());
  }
  request.body = std::move(body);
  return request;
}

struct Heard {
  std::vector<ReceivedCallback> callbacks;
  std::vector<int> statuses;
  bool all_hold = false;
};

// Sends the requests one after another to a listener that ends after as many.
Heard hear(ListenSettings settings, std::vector<HttpRequest> requests) {
  Heard heard;
  settings.count = requests.size();
  auto listener = CallbackListener::open(std::move(settings), [&](const ReceivedCallback& callback) {
                    heard.callbacks.push_back(callback);
                  }).value();
  const auto port = listener->port();
  std::jthread thread([&] { heard.all_hold = listener->run(); });
  HttpClient client;
  for (auto& request : requests) {
    request.url = "http://127.0.0.1:" + std::to_string(port) + "/hook?x=1";
    const auto reply = client.fetch(request);
    heard.statuses.push_back(reply ? reply->head.status : 0);
  }
  thread.join();
  return heard;
}

TEST(CallbackListener, ShowsWhatArrivesAndThatTheSignatureHolds) {
  const Heard heard = hear({.port = 0, .secrets = {kOtherSecret, kSecret}, .status = 200, .count = {}},
                           {callback("hello", kSecret), callback("again", kOtherSecret)});
  EXPECT_THAT(heard.statuses, testing::ElementsAre(200, 200));
  EXPECT_TRUE(heard.all_hold);
  ASSERT_EQ(heard.callbacks.size(), 2U);
  EXPECT_EQ(heard.callbacks[0].reason, "");
  EXPECT_EQ(
      describe(heard.callbacks[0]),
      format_rfc3339(heard.callbacks[0].at) +
          " POST /hook?x=1 motion C1 status 201, attempt 2, text/plain, 5 bytes, signature holds\nhello\n");
}

TEST(CallbackListener, SaysThatASignatureFails) {
  HttpRequest changed = callback("hello", kSecret);
  changed.body = "hellO";
  const Heard heard = hear({.port = 0, .secrets = {kSecret}, .status = 503, .count = {}},
                           {callback("hello", kOtherSecret), changed, callback("hello", "")});
  EXPECT_THAT(heard.statuses, testing::ElementsAre(503, 503, 503));
  EXPECT_FALSE(heard.all_hold);
  ASSERT_EQ(heard.callbacks.size(), 3U);
  EXPECT_THAT(describe(heard.callbacks[0]), HasSubstr("SIGNATURE FAILS: signature_wrong"));
  EXPECT_THAT(describe(heard.callbacks[1]), HasSubstr("SIGNATURE FAILS: signature_wrong"));
  EXPECT_THAT(describe(heard.callbacks[2]), HasSubstr("SIGNATURE FAILS: signature_missing"));
}

TEST(CallbackListener, ChecksNothingWithoutASecret) {
  const Heard heard = hear({}, {callback("hello", kSecret)});
  EXPECT_TRUE(heard.all_hold);
  EXPECT_THAT(describe(heard.callbacks.at(0)), HasSubstr("signature not checked"));
}

TEST(CallbackListener, ChecksLargeBodiesAndKeepsTheirBeginning) {
  const std::string large(3U << 20, 'x');  // more than stays in memory
  const Heard heard =
      hear({.port = 0, .secrets = {kSecret}, .status = 200, .count = {}}, {callback(large, kSecret)});
  EXPECT_TRUE(heard.all_hold);
  const ReceivedCallback& received = heard.callbacks.at(0);
  EXPECT_EQ(received.bytes, large.size());
  EXPECT_EQ(received.body.size(), kMaxKeptBody);
  EXPECT_THAT(describe(received), testing::EndsWith("x\n  (3144704 bytes more)\n"));
  EXPECT_EQ(to_json(received)["body_is_whole"], false);
}

TEST(CallbackListener, KeepsBinaryBodiesOffTheTerminal) {
  const Heard heard = hear({}, {callback("a\x1b[2Jb", ""), callback("", "")});
  EXPECT_THAT(describe(heard.callbacks.at(0)), testing::EndsWith("signature not checked\n  (binary)\n"));
  EXPECT_TRUE(to_json(heard.callbacks.at(0))["body"].is_null());
  EXPECT_THAT(describe(heard.callbacks.at(1)), testing::EndsWith("0 bytes, signature not checked\n"));
}

TEST(CallbackListener, DescribesRequestsThatAreNoCallbacks) {
  HttpRequest request;
  request.method = "GET";
  const Heard heard = hear({}, {request});
  EXPECT_THAT(describe(heard.callbacks.at(0)),
              HasSubstr("GET /hook?x=1 - - status -, attempt -, -, 0 bytes"));
}

TEST(CallbackListener, GivesJson) {
  const Heard heard =
      hear({.port = 0, .secrets = {kSecret}, .status = 200, .count = {}}, {callback("hi", kSecret)});
  const api::OrderedJson json = to_json(heard.callbacks.at(0));
  EXPECT_EQ(json["function"], "motion");
  EXPECT_EQ(json["space"], "team");
  EXPECT_EQ(json["call_id"], "C1");
  EXPECT_EQ(json["status"], "201");
  EXPECT_EQ(json["attempt"], "2");
  EXPECT_EQ(json["signature"], "holds");
  EXPECT_TRUE(json["signature_reason"].is_null());
  EXPECT_EQ(json["body"], "hi");
  EXPECT_EQ(json["body_is_whole"], true);
  EXPECT_THAT(api::dump(json), HasSubstr(R"(["X-Attempt","2"])"));
}

TEST(Listen, RefusesWhatCannotBeMeant) {
  EXPECT_EQ(run({"listen", "--port", "70000"}).status, kExitUsage);
  EXPECT_EQ(run({"listen", "--status", "100"}).status, kExitUsage);
  EXPECT_EQ(run({"listen", "--once", "0"}).status, kExitUsage);
  EXPECT_EQ(run({"listen", "--once", "few"}).status, kExitUsage);
  EXPECT_EQ(run({"listen", "--secret", "not-a-secret"}).status, kExitUsage);
  EXPECT_EQ(run({"listen", "--space", "Not_A_Name"}).status, kExitUsage);
}

TEST(Listen, AsksTheServerForTheSecretAndSaysWhenThereIsNone) {
  TestServer server({reply_with("200 OK", "", R"({"current": "no secret", "previous": null})"),
                     reply_with("403 Forbidden", "", R"({"reason": "forbidden", "detail": "no"})")});
  const std::string url = server.url();
  const std::string port = url.substr(url.rfind(':') + 1);  // taken, so that the command ends
  const Ran fetched = run({"listen", "--space", "s", "--port", port.c_str(), "--url", url.c_str()});
  EXPECT_EQ(fetched.status, kExitUsage);  // and the secret was looked at
  EXPECT_THAT(server.requests().at(0), StartsWith("GET /spaces/s/signing-secret "));
  const Ran unchecked = run({"listen", "--port", port.c_str(), "--url", url.c_str()});
  EXPECT_EQ(unchecked.status, kExitRefused);
  EXPECT_THAT(unchecked.err, HasSubstr("signatures are not checked"));
}

TEST(Listen, FailsWhenThePortIsTaken) {
  TestServer server({reply_with("200 OK", "", "")});
  const std::string url = server.url();
  const Ran ran =
      run({"listen", "--secret", kSecret.c_str(), "--port", url.substr(url.rfind(':') + 1).c_str()});
  EXPECT_EQ(ran.status, kExitRefused);
  EXPECT_THAT(ran.err, HasSubstr("cannot listen on 127.0.0.1:"));
  EXPECT_THAT(ran.out, Not(HasSubstr("listening")));
}

}  // namespace
}  // namespace sterna::cli
