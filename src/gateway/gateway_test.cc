// What the gateway answers by itself, and what it hands on.
#include "gateway/gateway.h"

#include <nlohmann/json.hpp>

#include "gateway/testing/serving_fixture.h"
#include "logs/temporary_folder.h"
#include "queue/sqlite/sqlite_queue.h"

namespace sterna::gateway {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using registry::FunctionStatus;

constexpr std::string_view kInvoke = "/spaces/default/functions/f/invoke";
constexpr std::string_view kCallId = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

class GatewayTest : public ServingTest {
 protected:
  explicit GatewayTest(TokenCheck check = TokenCheck::kOff) : check_(check) {
    service_.head = [this](net::HttpConnection& connection) { return gateway_.on_head(connection); };
    service_.request = [this](net::HttpConnection& connection) { gateway_.on_request(connection); };
  }
  ~GatewayTest() override {
    end();
    EXPECT_EQ(gateway_.in_flight(), 0U);
  }

  static std::string head(std::string_view method, std::string_view target, std::string_view more = {}) {
    return std::string(method)
        .append(" ")
        .append(target)
        .append(" HTTP/1.1\r\nHost: localhost\r\n")
        .append(more)
        .append("\r\n");
  }
  struct Answer {
    int status = 0;
    nlohmann::json problem;
    std::string text;
  };
  // Of a request that the gateway answers by itself, with a problem document.
  Answer problem(std::string_view method, std::string_view target, std::string_view more = {}) {
    Client client(*this);
    client.send(head(method, target, more));
    return problem(client);
  }
  Answer problem(Client& client) {
    EXPECT_TRUE(until([&] { return client.read(), client.text.ends_with("}"); })) << client.text;
    Answer answer{.problem = {}, .text = client.text};
    if (client.text.starts_with("HTTP/1.1 ")) answer.status = std::stoi(client.text.substr(9, 3));
    const std::size_t body = client.text.find("\r\n\r\n");
    if (body != std::string::npos)
      answer.problem = nlohmann::json::parse(client.text.substr(body), nullptr, false);
    return answer;
  }
  std::string reason(int status, std::string_view method, std::string_view target) {
    const Answer answer = problem(method, target);
    EXPECT_EQ(answer.status, status) << method << " " << target;
    EXPECT_NE(answer.text.find("X-Sterna-Fault: platform\r\n"), std::string::npos) << answer.text;
    return answer.problem.value("reason", "none");
  }
  void set_status(FunctionStatus status) {
    registry::Function changed = function();
    changed.status = status;
    table_.apply(changed);
  }

  const TokenCheck check_;
  logs::TemporaryFolder folder_;
  SystemClock wall_;
  std::unique_ptr<registry::Registry> registry_ = std::move(*registry::Registry::open(":memory:", wall_));
  std::unique_ptr<bundle::BundleStore> bundles_ =
      std::move(*bundle::BundleStore::open(folder_.path() / "bundles"));
  logs::BuildLogs build_logs_{::testing::TempDir() + "build-logs", 1U << 20, clock_};
  std::unique_ptr<logs::FunctionLogs> function_logs_ =
      std::move(*logs::FunctionLogs::open(folder_.path() / "logs", {}, wall_));
  std::unique_ptr<queue::sqlite::SqliteQueue> queue_ =
      std::move(*queue::sqlite::SqliteQueue::open(folder_.path() / "queue.db", loop_, budget_, {}));
  Settlements settlements_;
  net::Background management_thread_;
  net::Background token_thread_;
  net::Background log_thread_;
  std::unique_ptr<audit::AuditLog> audit_ = std::move(*audit::AuditLog::open(":memory:", wall_));
  Management management_{*registry_,
                         *bundles_,
                         *audit_,
                         {},
                         1000,
                         [](const std::string&) { return FunctionMetrics(); },
                         [](const std::string&) { return SpaceLoad(); },
                         [](const auto&, const auto&) { return api::OrderedJson::object(); }};
  Status callbacks_;  // what is said of each URL
  auth::AccessTable access_;
  Gatekeeper gatekeeper_{access_, wall_, check_, 0};
  auth::FailedLogins bad_secrets_{0};
  Refusals refusals_{prometheus_};
  Health health_{clock_, prometheus_};
  Gateway gateway_{
      {.loop = loop_,
       .functions = table_,
       .management = management_,
       .logs = *function_logs_,
       .build_logs = build_logs_,
       .management_thread = management_thread_,
       .token_thread = token_thread_,
       .log_thread = log_thread_,
       .metrics = prometheus_,
       .ids = ids_,
       .async = {.queue = *queue_,
                 .outbox = *queue_,
                 .invocations = *queue_,
                 .settlements = settlements_,
                 .check_callback = [this](const std::string&, const std::string&) { return callbacks_; }},
       .gatekeeper = gatekeeper_,
       .refusals = refusals_,
       .oauth = {.table = access_,
                 .registry = *registry_,
                 .token_lifetime = std::chrono::hours(1),
                 .bad_secrets = bad_secrets_,
                 .refusals = refusals_},
       .health = health_,
       .update_gauges = [] {}},
      {}};
};

TEST_F(GatewayTest, RefusesWhatCannotRun) {
  EXPECT_EQ(reason(404, "GET", "/spaces/no/functions/f/invoke"), "space_not_found");
  EXPECT_EQ(reason(404, "GET", "/spaces/default/functions/no/invoke"), "function_not_found");
  EXPECT_EQ(reason(404, "GET", "/spaces/default/functions/f/invoke/a/b/c/d"), "path_too_deep");
  EXPECT_EQ(reason(400, "GET", "/spaces/default/functions/f/invoke/../g"), "bad_path");
  EXPECT_EQ(reason(400, "GET", "/spaces/default/functions/f/invoke/%zz"), "bad_path");
  EXPECT_EQ(reason(405, "OPTIONS", kInvoke), "method_not_allowed");
  EXPECT_EQ(reason(405, "GET", "/spaces/default/functions/f/async-invoke"), "method_not_allowed");
  EXPECT_EQ(reason(405, "POST", "/healthz"), "method_not_allowed");
  EXPECT_EQ(launcher_.started(), 0U);
}

TEST_F(GatewayTest, MethodsThatAreAllowedAreNamed) {
  EXPECT_NE(problem("TRACE", kInvoke).text.find("Allow: GET, POST, PUT, PATCH, DELETE\r\n"),
            std::string::npos);
  EXPECT_NE(problem("PUT", "/spaces/default/functions/f/async-invoke").text.find("Allow: POST\r\n"),
            std::string::npos);
  for (const char* path :
       {"/healthz", "/readyz", "/metrics", "/spaces/default/functions/f/logs",
        "/spaces/default/functions/f/builds/1/logs", "/spaces/default/functions/f/invocations"}) {
    EXPECT_NE(problem("POST", path).text.find("Allow: GET, HEAD\r\n"), std::string::npos) << path;
  }
  EXPECT_NE(
      problem("PUT", "/spaces/default/functions/f/invocations/1").text.find("Allow: GET, HEAD, DELETE\r\n"),
      std::string::npos);
}

TEST_F(GatewayTest, BrowsersQuestionsRunNothing) {
  registry::Function changed = function();
  changed.active->spec.cors = api::Cors{.allow_origins = {"https://a.example"}};
  table_.apply(changed);
  const std::string asks = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n";
  Client client(*this);
  client.send(head("OPTIONS", kInvoke, asks));
  ASSERT_TRUE(until([&] { return client.read(), client.text.ends_with("\r\n\r\n"); }));
  EXPECT_TRUE(client.text.starts_with("HTTP/1.1 204 ")) << client.text;
  EXPECT_TRUE(has_line(client, "Access-Control-Allow-Origin: https://a.example\r\n")) << client.text;
  EXPECT_EQ(launcher_.started(), 0U);
  EXPECT_EQ(reason(405, "OPTIONS", kInvoke), "method_not_allowed") << "no question of a browser";
  const Answer other =
      problem("OPTIONS", kInvoke, "Origin: https://b.example\r\nAccess-Control-Request-Method: GET\r\n");
  EXPECT_EQ(other.status, 403);
  EXPECT_EQ(other.problem.value("reason", ""), "origin_not_allowed");
}

TEST_F(GatewayTest, FunctionsThatDoNotRunSaySo) {
  set_status(FunctionStatus::kStopped);
  EXPECT_EQ(reason(503, "GET", kInvoke), "function_not_running");
  EXPECT_EQ(problem("GET", kInvoke).text.find("Retry-After"), std::string::npos);
  set_status(FunctionStatus::kBuilding);
  EXPECT_EQ(reason(503, "GET", kInvoke), "function_not_running");
  EXPECT_NE(problem("GET", kInvoke).text.find("Retry-After: 1\r\n"), std::string::npos);
}

TEST_F(GatewayTest, InternalFunctionsAreForTriggers) {
  registry::Function changed = function();
  changed.active->spec.access = api::Access::kInternal;
  table_.apply(changed);
  EXPECT_EQ(reason(403, "POST", kInvoke), "function_internal");
}

TEST_F(GatewayTest, CallIdOfTheClientIsKeptInRefusals) {
  const Answer answer =
      problem("GET", "/spaces/default/functions/no/invoke", "X-Call-Id: " + std::string(kCallId) + "\r\n");
  EXPECT_EQ(answer.problem.value("call_id", ""), kCallId);
}

TEST_F(GatewayTest, WhoFollowsABuildAndReadsSlowlyMissesLinesButNotTheEnd) {
  build_logs_.begin("id", 1);
  Client client(*this);
  client.send(head("GET", "/spaces/default/functions/f/builds/1/logs?follow=true"));
  ASSERT_TRUE(until([&] { return client.read(), client.text.contains("200 OK"); })) << client.text;
  const std::string line(8'000, 'x');
  for (int i = 0; i < 1'500; ++i) build_logs_.append("id", 1, logs::BuildStream::kOutput, line);
  // What was left out is told with the first line after it.
  ASSERT_TRUE(until([&] {
    client.read();
    build_logs_.append("id", 1, logs::BuildStream::kOutput, "later");
    return client.text.contains("later");
  }));
  build_logs_.end("id", 1);
  EXPECT_TRUE(ends_with(client, "0\r\n\r\n"));
  const std::size_t gap = client.text.find("lines are left out here");
  EXPECT_NE(gap, std::string::npos);
  EXPECT_LT(gap, client.text.find("later"));
  EXPECT_EQ(client.text.find("lines are left out here", gap + 1), std::string::npos) << "one notice";
}

TEST_F(GatewayTest, ServerWithoutTokensIsNotForPagesOfOthers) {
  const std::string foreign = "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n";
  for (const char* target : {"/spaces", "/metrics", "/spaces/default/functions/f/logs",
                             "/spaces/default/functions/f/invocations"}) {
    const Answer answer = problem("GET", target, foreign);
    EXPECT_EQ(answer.status, 403) << target;
    EXPECT_EQ(answer.problem.value("reason", ""), "origin_not_allowed") << target;
  }
  EXPECT_EQ(problem("POST", "/oauth2/token", foreign + "Content-Length: 0\r\n").status, 403);
}

TEST_F(GatewayTest, RefusalComesBeforeTheBody) {
  EXPECT_EQ(problem("POST", "/spaces/default/functions/no/invoke", "Content-Length: 9\r\n").status, 404);
}

TEST_F(GatewayTest, FunctionReceivesPathQueryAndBody) {
  Client client(*this);
  client.send(head("POST", std::string(kInvoke) + "/a%20b/c?x=1&x=2", "Content-Length: 4\r\n") + "ping");
  const OwnedFrame frame = run();
  wire::RequestHead request;
  std::string_view body;
  ASSERT_TRUE(wire::read_request(frame.payload, request, body));
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/a b/c");
  EXPECT_EQ(request.query, "x=1&x=2");
  EXPECT_EQ(body, "ping");
  EXPECT_EQ(gateway_.in_flight(), 1U);
  worker().respond(frame, 200, {}, "pong");
  EXPECT_TRUE(ends_with(client, "pong"));
}

TEST_F(GatewayTest, EachRequestOfAConnectionHasItsOwnTarget) {
  Client client(*this);
  client.send(head("GET", std::string(kInvoke) + "/first?a"));
  const OwnedFrame first = run();
  worker().respond(first, 200, {}, "one");
  ASSERT_TRUE(ends_with(client, "one"));
  client.send(head("GET", "/healthz") + head("GET", kInvoke));
  const OwnedFrame frame = run();
  wire::RequestHead request;
  std::string_view body;
  ASSERT_TRUE(wire::read_request(frame.payload, request, body));
  EXPECT_EQ(request.path, "/");
  EXPECT_EQ(request.query, "");
  worker().respond(frame, 200, {}, "two");
  EXPECT_TRUE(ends_with(client, "two"));
  EXPECT_NE(client.text.find("ok\n"), std::string::npos);
}

TEST_F(GatewayTest, FunctionMayGoWhileItsRequestComes) {
  Client client(*this);
  client.send(head("POST", kInvoke, "Content-Length: 4\r\n") + "pi");
  for (int i = 0; i < 5; ++i) turn();
  table_.remove("id");
  client.send("ng");
  const Answer answer = problem(client);
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.problem.value("reason", ""), "function_not_found");
}

TEST_F(GatewayTest, FunctionMayBeReplacedWhileItsRequestComes) {
  Client client(*this);
  client.send(head("POST", kInvoke, "Content-Length: 4\r\n") + "pi");
  for (int i = 0; i < 5; ++i) turn();
  table_.remove("id");
  registry::Function next = function();
  next.id = "next";
  table_.apply(next);
  client.send("ng");
  const OwnedFrame frame = run();
  EXPECT_TRUE(frame.payload.ends_with("ping"));
  worker().respond(frame, 200, {}, "from the next");
  EXPECT_TRUE(ends_with(client, "from the next"));
}

TEST_F(GatewayTest, FunctionMayStopWhileItsRequestComes) {
  Client client(*this);
  client.send(head("POST", kInvoke, "Content-Length: 4\r\n") + "pi");
  for (int i = 0; i < 5; ++i) turn();
  set_status(FunctionStatus::kStopped);
  client.send("ng");
  EXPECT_EQ(problem(client).problem.value("reason", ""), "function_not_running");
}

// Of requests whose head was let in, and whose body comes later.
class AccessWhileBodiesComeTest : public GatewayTest {
 protected:
  AccessWhileBodiesComeTest() : GatewayTest(TokenCheck::kOn) { set_token("good"); }

  void set_token(std::string_view token) {
    auth::Hasher hasher;
    access_.set({.grant = {.app = "app",
                           .app_name = "app",
                           .space = "default",
                           .scopes = auth::scope_named("function.invoke"),
                           .functions = {},
                           .expires_at = std::nullopt},
                 .secret = {},
                 .disabled = false},
                {{.hash = hasher.hash(token),
                  .scopes = auth::scope_named("function.invoke"),
                  .expires_at = wall_.wall() + std::chrono::hours(1)}},
                clock_.now());
  }
  void set_access(api::Access access, const std::string& id = "id") {
    registry::Function changed = function();
    changed.id = id;
    changed.active->spec.access = access;
    table_.apply(changed);
  }
  // What is answered when `change` happens between the two halves of the body, and that nothing runs.
  std::string refusal(std::string_view target, std::string_view more, const std::function<void()>& change) {
    Client client(*this);
    client.send(head("POST", target, std::string("Content-Length: 4\r\n").append(more)) + "pi");
    for (int i = 0; i < 5; ++i) turn();
    change();
    clock_.advance(milliseconds(1));
    client.send("ng");
    const Answer answer = problem(client);
    EXPECT_EQ(gateway_.in_flight(), 0U);
    EXPECT_EQ(queue_->depth("id").waiting, 0U);
    return std::to_string(answer.status) + " " + answer.problem.value("reason", "none");
  }

  static constexpr std::string_view kAsync = "/spaces/default/functions/f/async-invoke";
  static constexpr std::string_view kGood = "Authorization: Bearer good\r\n";
};

TEST_F(AccessWhileBodiesComeTest, FunctionBecomesInternal) {
  for (const std::string_view target : {kInvoke, kAsync}) {
    set_access(api::Access::kToken);
    EXPECT_EQ(refusal(target, kGood, [&] { set_access(api::Access::kInternal); }), "403 function_internal");
    set_access(api::Access::kPublic);
    EXPECT_EQ(refusal(target, {}, [&] { set_access(api::Access::kInternal); }), "401 token_missing");
  }
}

TEST_F(AccessWhileBodiesComeTest, FunctionOfThatNameIsAnotherOneThatNeedsAToken) {
  for (const std::string_view target : {kInvoke, kAsync}) {
    table_.remove("next");
    set_access(api::Access::kPublic);
    EXPECT_EQ(refusal(target, {},
                      [&] {
                        table_.remove("id");
                        set_access(api::Access::kToken, "next");
                      }),
              "401 token_missing");
  }
}

TEST_F(AccessWhileBodiesComeTest, TokenIsRevoked) {
  for (const std::string_view target : {kInvoke, kAsync}) {
    set_token("good");
    EXPECT_EQ(refusal(target, kGood, [&] { set_token("another"); }), "401 token_invalid");
  }
}

TEST_F(AccessWhileBodiesComeTest, FunctionThatIsAnotherOneIsAskedAboutCallbacksToo) {
  EXPECT_EQ(refusal(kAsync, std::string(kGood) + "X-Callback-Url: https://example.com/\r\n",
                    [&] {
                      table_.remove("id");
                      set_access(api::Access::kToken, "next");
                      callbacks_ = fail(Code::kInvalid, Component::kGateway, "bad_callback_url", "no");
                    }),
            "400 bad_callback_url");
}

TEST_F(AccessWhileBodiesComeTest, TokenThatWasCheckedDoesNotReachAFunctionThatBecomesPublic) {
  Client client(*this);
  client.send(head("POST", kInvoke, std::string("Content-Length: 4\r\n").append(kGood)) + "pi");
  for (int i = 0; i < 5; ++i) turn();
  set_access(api::Access::kPublic);
  client.send("ng");
  const OwnedFrame frame = run();
  EXPECT_TRUE(frame.payload.ends_with("ping"));
  EXPECT_EQ(frame.payload.find("good"), std::string::npos);
  worker().respond(frame, 200, {}, "pong");
  EXPECT_TRUE(ends_with(client, "pong"));
}

TEST_F(AccessWhileBodiesComeTest, GoodTokenStaysGoodAndCountsOnce) {
  registry::Space space;
  space.spec.name = "default";
  space.spec.rate_limit = {.requests_per_second = 0.01, .burst = 2, .bytes_per_second = std::nullopt};
  table_.set_space(std::move(space));
  for (int i = 0; i < 2; ++i) {
    Client client(*this);
    client.send(head("POST", kInvoke, std::string("Content-Length: 4\r\n").append(kGood)) + "pi");
    for (int j = 0; j < 5; ++j) turn();
    clock_.advance(milliseconds(1));
    client.send("ng");
    const OwnedFrame frame = run();
    EXPECT_TRUE(frame.payload.ends_with("ping"));
    worker().respond(frame, 200, {}, "pong");
    EXPECT_TRUE(ends_with(client, "pong"));
  }
  EXPECT_EQ(problem("GET", kInvoke, kGood).problem.value("reason", ""), "rate_limited");
}

TEST_F(GatewayTest, TellsItsHealth) {
  Client client(*this);
  client.send(head("GET", "/readyz"));
  ASSERT_TRUE(ends_with(client, "\r\n\r\n{\"status\":\"ready\",\"problems\":[]}\n"));
  health_.drain("the server ends");
  client.send(head("GET", "/readyz"));
  ASSERT_TRUE(until([&] { return client.read(), client.text.find("\"draining\"") != std::string::npos; }));
  EXPECT_NE(client.text.find("HTTP/1.1 503 "), std::string::npos);
  client.send(head("GET", "/healthz"));
  EXPECT_TRUE(ends_with(client, "\r\n\r\nok\n"));
}

TEST_F(GatewayTest, ManagementAnswersFromItsThread) {
  Client client(*this);
  client.send(head("GET", "/spaces"));
  EXPECT_TRUE(until([&] {
    return client.read(), client.text.find(R"("name":"default")") != std::string::npos;
  })) << client.text;
}

TEST_F(GatewayTest, AsyncInvocationIsAcceptedWhenItIsStored) {
  Client client(*this);
  client.send(head("POST", "/spaces/default/functions/f/async-invoke", "Content-Length: 0\r\n"));
  ASSERT_TRUE(until([&] { return client.read(), client.text.find("queued") != std::string::npos; }))
      << client.text;
  EXPECT_TRUE(client.text.starts_with("HTTP/1.1 202 "));
  EXPECT_EQ(queue_->depth("id").waiting, 1U);
}

TEST_F(GatewayTest, AskingForTheServersOptionsIsAnswered) {
  Client client(*this);
  client.send(head("OPTIONS", "*"));
  EXPECT_TRUE(ends_with(client, "\r\n\r\n"));
  EXPECT_TRUE(client.text.starts_with("HTTP/1.1 204 "));
}

TEST_F(GatewayTest, TooManyCallsOfASpaceAreRefusedBeforeTheirBodyComes) {
  registry::Space space;
  space.spec.name = "default";
  space.spec.rate_limit = {.requests_per_second = 0.01, .burst = 2, .bytes_per_second = std::nullopt};
  table_.set_space(std::move(space));
  set_status(FunctionStatus::kStopped);
  EXPECT_EQ(reason(503, "GET", kInvoke), "function_not_running");
  EXPECT_EQ(reason(503, "GET", kInvoke), "function_not_running");
  const Answer answer =
      problem("POST", kInvoke, "Content-Length: 5000000\r\nX-Call-Id: " + std::string(kCallId) + "\r\n");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.problem.value("reason", ""), "rate_limited");
  EXPECT_EQ(answer.problem.value("call_id", ""), kCallId);
  EXPECT_NE(answer.text.find("Retry-After: 100\r\n"), std::string::npos) << answer.text;
  EXPECT_NE(answer.text.find("X-Sterna-Fault: platform\r\n"), std::string::npos);
  clock_.advance(std::chrono::seconds(100));
  turn();
  EXPECT_EQ(reason(503, "GET", kInvoke), "function_not_running");
}

}  // namespace
}  // namespace sterna::gateway
