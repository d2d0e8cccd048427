#include <gmock/gmock.h>

#include "cli/commands.h"
#include "cli/invocation.h"
#include "cli/run_program.h"
#include "cli/seen_invocations.h"
#include "cli/test_server.h"

namespace sterna::cli {
namespace {

using api::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kId = "01JZ0000000000000000000001";
constexpr const char* kOther = "01JZ0000000000000000000002";
const std::string kPath = std::string("/spaces/default/functions/f/invocations/") + kId;

Json invocation(std::string_view state, std::string_view id = kId) {
  return {{"id", id},
          {"state", state},
          {"reason", nullptr},
          {"status_code", 200},
          {"attempts", {{{"number", 1}}}},
          {"created_at", "T"},
          {"callback", {{"delivery", "pending"}}}};
}

std::string reply(const Json& body, std::string_view status = "200 OK") {
  return reply_with(status, "Content-Type: application/json\r\n", body.dump());
}

std::string accepted() {
  return reply_with("202 Accepted", std::string("X-Call-Id: ") + kId + "\r\nLocation: " + kPath + "\r\n",
                    Json{{"id", kId}, {"state", "queued"}}.dump());
}

std::string problem(std::string_view status, std::string_view reason, std::string_view fault = "") {
  std::string headers = "Content-Type: application/problem+json\r\n";
  if (!fault.empty()) headers += "X-Sterna-Fault: " + std::string(fault) + "\r\n";
  return reply_with(status, headers,
                    Json{{"reason", reason}, {"component", "queue"}, {"detail", "because"}}.dump());
}

// What the server keeps of a run that gave no answer: no X-Sterna-Fault.
std::string kept_problem(std::string_view reason, std::string_view component) {
  return reply_with(
      "200 OK",
      std::string("X-Function-Status: 500\r\nContent-Type: application/problem+json\r\nX-Call-Id: ") + kId +
          "\r\n",
      Json{{"reason", reason}, {"component", component}, {"detail", "because"}}.dump());
}

Json items_of(const std::vector<Json>& items, const char* cursor = nullptr) {
  Json paging = Json::object();
  if (cursor != nullptr) paging["next_cursor"] = cursor;
  return {{"data", items}, {"paging", paging}};
}

TEST(AsyncInvoke, PrintsIdAndState) {
  TestServer server({accepted()});
  const Ran ran =
      run({"invoke", "f", "--async", "-p", "/a?x=1", "-d", "hi", "--callback", "HTTP://r/c", "--delay", "1.5",
           "--call-id", kId, "--idempotency-key", "k1", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_EQ(ran.out, std::string(kId) + " queued\n");
  const std::string request = server.requests().at(0);
  EXPECT_THAT(request, StartsWith("POST /spaces/default/functions/f/async-invoke/a?x=1 HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("X-Callback-Url: HTTP://r/c\r\n"));
  EXPECT_THAT(request, HasSubstr("X-Delay-Seconds: 1.5\r\n"));
  EXPECT_THAT(request, HasSubstr("Idempotency-Key: k1\r\n"));
  EXPECT_THAT(request, HasSubstr(std::string("X-Call-Id: ") + kId + "\r\n"));
}

TEST(AsyncInvoke, IsAPostWithoutABodyToo) {
  TestServer server({accepted()});
  const Ran ran = run({"invoke", "f", "--async", "--json", "--not-before", "2030-01-01T00:00:00Z", "--url",
                       server.url().c_str()});
  EXPECT_EQ(Json::parse(ran.out), (Json{{"id", kId}, {"state", "queued"}}));
  EXPECT_THAT(server.requests().at(0), StartsWith("POST "));
  EXPECT_THAT(server.requests().at(0), HasSubstr("X-Not-Before: 2030-01-01T00:00:00Z\r\n"));
}

TEST(AsyncInvoke, RefusesWhatCannotBeMeant) {
  EXPECT_EQ(run({"invoke", "f", "--wait"}).status, kExitUsage);
  EXPECT_EQ(run({"invoke", "f", "--callback", "http://r/"}).status, kExitUsage);
  EXPECT_EQ(run({"invoke", "f", "--delay", "1"}).status, kExitUsage);
  EXPECT_EQ(run({"invoke", "f", "--async", "--delay", "-1"}).status, kExitUsage);
  EXPECT_THAT(run({"invoke", "f", "--async", "--delay", "2592001"}).err,
              HasSubstr("write a number from 0 to 2592000"));
  EXPECT_THAT(run({"invoke", "f", "--async", "--delay", "soon"}).err,
              HasSubstr("write a number from 0 to 2592000"));
  EXPECT_EQ(run({"invoke", "f", "--async", "--delay", "1", "--not-before", "2030-01-01T00:00:00Z"}).status,
            kExitUsage);
  EXPECT_THAT(run({"invoke", "f", "--async", "--not-before", "noon"}).err, HasSubstr("--not-before noon"));
  EXPECT_THAT(run({"invoke", "f", "--async", "--callback", "ftp://r/"}).err,
              HasSubstr("--callback ftp://r/"));
  EXPECT_THAT(run({"invoke", "f", "--async", "-X", "PUT"}).err, HasSubstr("always a POST"));
  EXPECT_THAT(run({"invoke", "f", "--call-id", "short"}).err, HasSubstr("--call-id short"));
  EXPECT_THAT(run({"invoke", "f", "--call-id", "01arz3ndektsv4rrffq69g5fav"}).err, HasSubstr("in capitals"));
  EXPECT_THAT(run({"invoke", "f", "--idempotency-key", "a\r\nX: y"}).err, HasSubstr("--idempotency-key"));
}

TEST(AsyncInvoke, TellsARefusalFromAnAcceptance) {
  TestServer server({problem("503 Service Unavailable", "queue_unavailable", "platform"),
                     problem("401 Unauthorized", "unauthorized"), reply({{"no", "id"}})});
  const std::string url = server.url();
  const Ran refused = run({"invoke", "f", "--async", "--url", url.c_str()});
  EXPECT_EQ(refused.status, kExitPlatformFault);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.err, HasSubstr("platform fault, queue_unavailable: because"));
  EXPECT_EQ(run({"invoke", "f", "--async", "--url", url.c_str()}).status, kExitRefused);
  EXPECT_THAT(run({"invoke", "f", "--async", "--url", url.c_str()}).err, HasSubstr("is it a Sterna server?"));
}

TEST(AsyncInvoke, WaitsAndAnswersLikeASynchronousCall) {
  TestServer server(
      {accepted(), reply(invocation("running")), reply(invocation("succeeded")),
       reply_with("200 OK", "X-Function-Status: 404\r\nContent-Type: text/plain\r\n", "answer")});
  const Ran ran = run({"invoke", "f", "--async", "--wait", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_EQ(ran.out, "answer");
  EXPECT_EQ(ran.err, "");
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_THAT(requests[1], StartsWith("GET " + kPath + "?wait=30 "));
  EXPECT_THAT(requests[3], StartsWith("GET " + kPath + "/response "));
}

TEST(AsyncInvoke, BearsAServerThatIsAwayForAMoment) {
  TestServer server({accepted(), "HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n",
                     problem("503 Service Unavailable", "draining"), reply(invocation("succeeded")),
                     reply_with("200 OK", "X-Function-Status: 200\r\n", "late")});
  const Ran ran = run({"invoke", "f", "--async", "--wait", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_EQ(ran.out, "late");
}

TEST(AsyncInvoke, SaysHowItGoesOnWhenTheWaitFails) {
  TestServer server({accepted(), problem("403 Forbidden", "forbidden")});
  const Ran ran = run({"invoke", "f", "--async", "--wait", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitRefused);
  EXPECT_THAT(ran.err, HasSubstr(std::string("sterna invocations wait f ") + kId));
}

TEST(AsyncInvoke, ExitsLikeItsEnd) {
  Json failed = invocation("failed");
  failed["reason"] = "attempts_exhausted";
  TestServer server({accepted(), reply(failed), kept_problem("function_raised", "function"),  //
                     accepted(), reply(failed), reply_with("200 OK", "X-Function-Status: 503\r\n", "busy"),
                     accepted(), reply(failed), problem("404 Not Found", "no_response"),  //
                     accepted(), reply(invocation("cancelled")),                          //
                     accepted(), reply(invocation("expired"))});
  const std::string url = server.url();
  const std::vector<const char*> command = {"invoke", "f", "--async", "--wait", "--url", url.c_str()};
  const Ran raised = run(command);
  EXPECT_EQ(raised.status, kExitFunctionFault);
  EXPECT_EQ(raised.out, "");
  EXPECT_THAT(raised.err, HasSubstr("function fault, function_raised"));
  EXPECT_THAT(raised.err, HasSubstr(std::string("sterna logs f --call-id ") + kId));
  EXPECT_THAT(raised.err, Not(HasSubstr("is failed")));
  const Ran busy = run(command);
  EXPECT_EQ(busy.status, kExitFunctionFault);
  EXPECT_EQ(busy.out, "busy");
  EXPECT_THAT(busy.err, HasSubstr("is failed (attempts_exhausted), attempts 1"));
  const Ran gone = run(command);
  EXPECT_EQ(gone.status, kExitFunctionFault);
  EXPECT_THAT(gone.err, HasSubstr("is failed (attempts_exhausted)"));
  const Ran cancelled = run(command);
  EXPECT_EQ(cancelled.status, kExitPlatformFault);
  EXPECT_THAT(cancelled.err, HasSubstr("is cancelled"));
  EXPECT_EQ(run(command).status, kExitPlatformFault);
}

TEST(Invocations, AreListedUpToTheLimit) {
  Json second = invocation("succeeded", kOther);
  second["callback"] = nullptr;
  second["reason"] = "r";
  TestServer server({reply(items_of({invocation("queued")}, "c1")), reply(items_of({second}, "c2"))});
  const Ran ran = run({"invocations", "list", "f", "--state", "queued", "--delivery", "pending", "--limit",
                       "2", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_EQ(ran.out,
            "ID                          STATE      REASON  STATUS  ATTEMPTS  DELIVERY  CREATED\n"
            "01JZ0000000000000000000001  queued     -       200     1         pending   T\n"
            "01JZ0000000000000000000002  succeeded  r       200     1         -         T\n");
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  const std::string list = "GET /spaces/default/functions/f/invocations?state=queued&delivery=pending&";
  EXPECT_THAT(requests[0], StartsWith(list + "limit=2 "));
  EXPECT_THAT(requests[1], StartsWith(list + "limit=1&cursor=c1 "));
}

TEST(Invocations, StandAsTheyAreWithAReasonThatSaysMore) {
  EXPECT_EQ(standing_of({{"state", "queued"}, {"reason", nullptr}}), "queued");
  EXPECT_EQ(standing_of({{"state", "cancelled"}, {"reason", "cancelled"}}), "cancelled");
  EXPECT_EQ(standing_of({{"state", "failed"}, {"reason", "function_raised"}}), "failed (function_raised)");
}

TEST(Invocations, AreListedAsJson) {
  TestServer server({reply(items_of({invocation("queued")}))});
  const Ran ran =
      run({"invocations", "list", "f", "--delivery", "none", "--json", "--url", server.url().c_str()});
  EXPECT_EQ(Json::parse(ran.out)["data"], items_of({invocation("queued")})["data"]);
  EXPECT_THAT(server.requests().at(0), HasSubstr("/invocations?delivery=none&limit=50 "));
}

TEST(Invocations, RefuseWhatCannotBeMeant) {
  EXPECT_EQ(run({"invocations"}).status, kExitUsage);
  EXPECT_EQ(run({"invocations", "list", "f", "--state", "lost"}).status, kExitUsage);
  EXPECT_EQ(run({"invocations", "list", "f", "--delivery", "lost"}).status, kExitUsage);
  EXPECT_EQ(run({"invocations", "list", "f", "--limit", "0"}).status, kExitUsage);
  EXPECT_THAT(run({"invocations", "list", "f", "--limit", "0"}).err,
              HasSubstr("'0' does not do: write a whole number from 1 to 1000000"));
  for (const char* command : {"get", "wait", "response", "cancel", "redrive", "redeliver"}) {
    EXPECT_EQ(run({"invocations", command, "f"}).status, kExitUsage) << command;
    const Ran ran = run({"invocations", command, "f", "../../other"});
    EXPECT_EQ(ran.status, kExitUsage) << command;
    EXPECT_THAT(ran.err, HasSubstr("cannot be an invocation")) << command;
  }
}

TEST(Invocations, AreShownWithTheirAttempts) {
  TestServer server({reply(invocation("running")), problem("404 Not Found", "invocation_not_found")});
  const std::string url = server.url();
  const Ran ran = run({"invocations", "get", "f", kId, "--url", url.c_str()});
  EXPECT_THAT(ran.out, HasSubstr("callback.delivery  pending\n"));
  EXPECT_THAT(ran.out, HasSubstr("\nattempts\nnumber\n1\n"));
  const Ran unknown = run({"invocations", "get", "f", kId, "--url", url.c_str()});
  EXPECT_EQ(unknown.status, kExitRefused);
  EXPECT_EQ(unknown.err, "sterna: because\n");
}

TEST(Invocations, AreWaitedFor) {
  TestServer server(
      {reply(invocation("queued")), reply(invocation("succeeded")), reply(invocation("failed"))});
  const std::string url = server.url();
  const Ran ran = run({"invocations", "wait", "f", kId, "--json", "--url", url.c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_EQ(Json::parse(ran.out), invocation("succeeded"));
  EXPECT_THAT(server.requests().at(1), StartsWith("GET " + kPath + "?wait=30 "));
  EXPECT_EQ(run({"invocations", "wait", "f", kId, "--url", url.c_str()}).status, kExitFunctionFault);
}

TEST(Invocations, AreNotWaitedForBeyondTheTimeout) {
  TestServer server({reply(invocation("queued")), reply(invocation("running"))});
  const Ran ran = run({"invocations", "wait", "f", kId, "--timeout", "0", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitRefused);
  EXPECT_THAT(ran.err, HasSubstr(std::string(kId) + " is still running"));
  EXPECT_THAT(server.requests().at(1), StartsWith("GET " + kPath + "?wait=1 "));
}

TEST(Invocations, AreNotWaitedForWithoutAServer) {
  EXPECT_EQ(run({"invocations", "wait", "f", kId, "--url", "http://127.0.0.1:1"}).status, kExitUnreachable);
}

TEST(Invocations, GiveTheirResponse) {
  TestServer server(
      {reply_with("200 OK", "X-Function-Status: 201\r\n", std::string("\0\1", 2)),
       reply_with("200 OK", "X-Function-Status: 201\r\n", "x"), problem("409 Conflict", "not_ended"),
       kept_problem("expired", "queue"),
       reply_with("200 OK", "X-Function-Status: 500\r\nContent-Type: application/problem+json\r\n",
                  R"({"title": "the function's own"})")});
  const std::string url = server.url();
  EXPECT_EQ(run({"invocations", "response", "f", kId, "--url", url.c_str()}).out, std::string("\0\1", 2));
  EXPECT_THAT(run({"invocations", "response", "f", kId, "-i", "--url", url.c_str()}).out,
              HasSubstr("X-Function-Status: 201\r\n\r\nx"));
  const Ran early = run({"invocations", "response", "f", kId, "--json", "--url", url.c_str()});
  EXPECT_EQ(early.status, kExitRefused);
  EXPECT_EQ(early.out, "");
  EXPECT_EQ(Json::parse(early.err)["reason"], "not_ended");
  const Ran expired = run({"invocations", "response", "f", kId, "--url", url.c_str()});
  EXPECT_EQ(expired.status, kExitPlatformFault);
  EXPECT_THAT(expired.err, HasSubstr("platform fault, expired"));
  const Ran own = run({"invocations", "response", "f", kId, "--url", url.c_str()});
  EXPECT_EQ(own.status, kExitOk);
  EXPECT_EQ(own.out, R"({"title": "the function's own"})");
}

TEST(Invocations, AreCancelledAndReplayed) {
  const std::string ok = reply_with("202 Accepted", "", "");
  TestServer server(
      {ok, ok, reply(invocation("queued"), "202 Accepted"), problem("409 Conflict", "already_ended")});
  const std::string url = server.url();
  EXPECT_EQ(run({"invocations", "cancel", "f", kId, "--url", url.c_str()}).out,
            std::string("cancel of ") + kId + " is accepted\n");
  EXPECT_EQ(Json::parse(run({"invocations", "redeliver", "f", kId, "--json", "--url", url.c_str()}).out),
            (Json{{"id", kId}}));
  EXPECT_EQ(Json::parse(run({"invocations", "redrive", "f", kId, "--json", "--url", url.c_str()}).out),
            invocation("queued"));
  EXPECT_EQ(run({"invocations", "cancel", "f", kId, "--url", url.c_str()}).status, kExitRefused);
  const auto requests = server.requests();
  EXPECT_THAT(requests.at(0), StartsWith("DELETE " + kPath + " "));
  EXPECT_THAT(requests.at(1), StartsWith("POST " + kPath + "/redeliver "));
  EXPECT_THAT(requests.at(2), StartsWith("POST " + kPath + "/redrive "));
}

TEST(Seen, TellsNewAndChangedFromKnown) {
  SeenInvocations seen;
  EXPECT_TRUE(seen.note(invocation("queued")));
  EXPECT_FALSE(seen.note(invocation("queued")));
  EXPECT_TRUE(seen.note(invocation("running")));
  Json ended = invocation("succeeded");
  EXPECT_TRUE(seen.note(ended));
  ended["callback"]["delivery"] = "delivered";
  EXPECT_TRUE(seen.note(ended));
  EXPECT_TRUE(seen.knows(kId));
  EXPECT_FALSE(seen.knows(kOther));
}

TEST(Seen, KnowsWhatMayStillChange) {
  SeenInvocations seen;
  seen.note(invocation("succeeded"));  // its callback is pending
  seen.begin_round();
  seen.note(invocation("queued", kOther));
  EXPECT_THAT(seen.unnoted(9), ElementsAre(kId));
  seen.begin_round();
  EXPECT_THAT(seen.unnoted(9), ElementsAre(kId, kOther));
  EXPECT_THAT(seen.unnoted(1), ElementsAre(kId));
  seen.forget(kId);
  Json ended = invocation("cancelled", kOther);
  ended["callback"] = nullptr;
  seen.note(ended);
  seen.begin_round();
  EXPECT_THAT(seen.unnoted(9), ElementsAre());
}

TEST(Seen, RemembersNoMoreThanItsLimit) {
  SeenInvocations seen;
  for (std::size_t i = 0; i <= SeenInvocations::kMaxSeen; ++i)
    seen.note(invocation("queued", std::to_string(i)));
  EXPECT_FALSE(seen.knows("0"));
  EXPECT_TRUE(seen.knows("1"));
}

TEST(InvocationsTail, ShowsEachChangeOnce) {
  Json done = invocation("succeeded");
  done["ended_at"] = "T2";
  done["callback"]["delivery"] = "delivered";
  TestServer server({reply(items_of({invocation("queued")})),                                 // at first
                     reply(items_of({invocation("running", kOther), invocation("queued")})),  // a new one
                     reply(items_of({invocation("running", kOther)})), reply(done),           // one has left
                     problem("403 Forbidden", "forbidden")});
  const Ran ran = run({"invocations", "tail", "f", "--interval", "0.05", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitRefused);
  EXPECT_EQ(ran.out,
            "T 01JZ0000000000000000000001 queued, status 200, attempts 1, callback pending\n"
            "T 01JZ0000000000000000000002 running, status 200, attempts 1, callback pending\n"
            "T2 01JZ0000000000000000000001 succeeded, status 200, attempts 1, callback delivered\n");
  EXPECT_THAT(server.requests().at(3), StartsWith("GET " + kPath + " "));
}

TEST(InvocationsTail, ReadsPagesUntilItKnowsOne) {
  Json known = invocation("succeeded");
  known["callback"] = nullptr;
  TestServer server({reply(items_of({known}, "older")), reply(items_of({invocation("queued", kOther)}, "c1")),
                     reply(items_of({known}, "c2")), problem("403 Forbidden", "forbidden")});
  const Ran ran = run({"invocations", "tail", "f", "--tail", "0", "--json", "--interval", "0.05", "--url",
                       server.url().c_str()});
  EXPECT_EQ(Json::parse(ran.out), invocation("queued", kOther));
  EXPECT_THAT(server.requests().at(2), HasSubstr("?limit=100&cursor=c1 "));
  EXPECT_THAT(server.requests().at(3), HasSubstr("?limit=100 "));
}

TEST(Spaces, SetTheirCallbackTargets) {
  const std::string space = reply({{"name", "s"}, {"callback_allow", {"127.0.0.0/8"}}, {"created_at", "T"}});
  TestServer server({space, space, space});
  const std::string url = server.url();
  const Ran ran = run({"spaces", "callback-allow", "s", "127.0.0.0/8", "hooks.test", "--url", url.c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("callback_allow  [\"127.0.0.0/8\"]\n"));
  EXPECT_EQ(run({"spaces", "callback-allow", "s", "--clear", "--url", url.c_str()}).status, kExitOk);
  EXPECT_EQ(run({"spaces", "get", "s", "--url", url.c_str()}).status, kExitOk);
  const auto requests = server.requests();
  EXPECT_THAT(requests.at(0), StartsWith("PATCH /spaces/s HTTP/1.1\r\n"));
  EXPECT_THAT(requests.at(0), HasSubstr(R"({"callback_allow":["127.0.0.0/8","hooks.test"]})"));
  EXPECT_THAT(requests.at(1), HasSubstr(R"({"callback_allow":[]})"));
  EXPECT_THAT(requests.at(2), StartsWith("GET /spaces/s HTTP/1.1\r\n"));
  EXPECT_EQ(run({"spaces", "callback-allow", "s"}).status, kExitUsage);
  EXPECT_THAT(
      run({"spaces", "callback-allow", "s"}).err,
      StartsWith("sterna: name targets, such as 10.20.0.0/16 or hooks.internal, or --clear for none"));
  EXPECT_EQ(run({"spaces", "callback-allow", "--clear"}).status, kExitUsage);
  EXPECT_EQ(run({"spaces", "callback-allow", "s", "10.0.0.0/8", "--clear"}).status, kExitUsage);
}

TEST(Spaces, ShowAndRotateTheirSigningSecret) {
  const std::string secret = reply({{"current", "whsec_AA"}, {"previous", nullptr}});
  TestServer server({secret, secret, problem("403 Forbidden", "forbidden")});
  const std::string url = server.url();
  EXPECT_EQ(run({"spaces", "signing-secret", "s", "--url", url.c_str()}).out,
            "current   whsec_AA\nprevious  -\n");
  EXPECT_EQ(run({"spaces", "signing-secret", "s", "--rotate", "--url", url.c_str()}).status, kExitOk);
  EXPECT_EQ(run({"spaces", "signing-secret", "s", "--url", url.c_str()}).status, kExitRefused);
  EXPECT_THAT(server.requests().at(0), StartsWith("GET /spaces/s/signing-secret "));
  EXPECT_THAT(server.requests().at(1), StartsWith("POST /spaces/s/signing-secret/rotate "));
}

}  // namespace
}  // namespace sterna::cli
