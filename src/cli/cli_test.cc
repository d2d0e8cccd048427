#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/commands.h"
#include "cli/deployment.h"
#include "cli/run_program.h"
#include "cli/test_server.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Table, AlignsColumns) {
  EXPECT_EQ(format_table({{"NAME", "STATUS"}, {"a", "Running"}, {"longer", "-"}}),
            "NAME    STATUS\na       Running\nlonger  -\n");
  EXPECT_EQ(format_table({}), "");
}

TEST(Table, FurtherLinesOfACellStayInItsColumn) {
  EXPECT_EQ(format_table({{"name", "lf"}, {"status_reason", "wrong\nstatus  Running"}, {"a\nbc", "x"}}),
            "name           lf\n"
            "status_reason  wrong\n"
            "               status  Running\n"
            "a\n"
            "bc             x\n");
}

TEST(Table, ACellCannotSteerTheTerminal) {
  EXPECT_EQ(format_table({{"a\x1b[2J", "b\x07"}}), "a\\x1b[2J  b\\x07\n");
}

TEST(Table, ShowsFieldsAsCells) {
  const Json object =
      Json::parse(R"({"name": "a", "empty": "", "n": 3, "m": {"x": {"y": [1]}}, "none": null})");
  EXPECT_EQ(cell(object, "name"), "a");
  EXPECT_EQ(cell(object, "empty"), "-");
  EXPECT_EQ(cell(object, "none"), "-");
  EXPECT_EQ(cell(object, "absent.deep"), "-");
  EXPECT_EQ(cell(object, "name.deep"), "-");
  EXPECT_EQ(cell(object, "n"), "3");
  EXPECT_EQ(cell(object, "m.x.y"), "[1]");
}

TEST(Object, IsShownWithInnerFieldsAndTables) {
  const Json object = Json::parse(
      R"({"id": "a", "callback": {"url": "u", "deliveries": [{"at": "T", "outcome": "ok"}]}, "none": [],
          "attempts": [{"number": 1}, {"number": 2, "reason": "r"}]})");
  EXPECT_EQ(format_object(object),
            "id            a\nnone          []\ncallback.url  u\n"
            "\nattempts\nnumber  reason\n1       -\n2       r\n"
            "\ncallback.deliveries\nat  outcome\nT   ok\n");
}

TEST(Logs, AreShownAsReadableLines) {
  EXPECT_EQ(format_log_line(R"({"timestamp": "T", "stream": "stderr", "text": "a b", "call_id": ""})"),
            "T stderr a b");
  EXPECT_EQ(format_log_line("no json"), "no json");
  EXPECT_EQ(
      format_log_line(R"({"timestamp": "T", "stream": "stdout", "text": "\u001b]0;pwn\u0007 \u0000\rx"})"),
      R"(T stdout \x1b]0;pwn\x07 \x00\x0dx)");
  EXPECT_EQ(format_log_line("\x1b[2J"), R"(\x1b[2J)");
  EXPECT_EQ(build_line_text(R"({"stream": "output", "text": "\u001b[31mred"})"), R"(\x1b[31mred)");
}

TEST(Since, IsATimeOrASpanBeforeNow) {
  const WallTime now = parse_rfc3339("2026-01-02T03:04:05Z").value();
  EXPECT_EQ(parse_since("90s", now).value(), "2026-01-02T03:02:35.000Z");
  EXPECT_EQ(parse_since("2h", now).value(), "2026-01-02T01:04:05.000Z");
  EXPECT_EQ(parse_since("1d", now).value(), "2026-01-01T03:04:05.000Z");
  EXPECT_EQ(parse_since("2026-01-01T00:00:00Z", now).value(), "2026-01-01T00:00:00Z");
  for (const char* bad : {"", "10", "10y", "-5m", "m", "99999999999d", "yesterday"}) {
    EXPECT_FALSE(parse_since(bad, now)) << bad;
  }
}

TEST(Rollout, IsReadFromStatusAndVersions) {
  EXPECT_EQ(rollout_of({{"status", "Running"}, {"version", 2}}), Rollout::kRunning);
  EXPECT_EQ(rollout_of({{"status", "Running"}, {"version", 2}, {"active_version", 2}}), Rollout::kRunning);
  EXPECT_EQ(rollout_of({{"status", "Running"}, {"version", 2}, {"active_version", 1}, {"status_reason", ""}}),
            Rollout::kUnderWay);
  EXPECT_EQ(
      rollout_of({{"status", "Running"}, {"version", 2}, {"active_version", 1}, {"status_reason", "bad"}}),
      Rollout::kFailed);
  EXPECT_EQ(rollout_of(Json::parse(R"({"status":"Running","version":2,"active_version":1,
                                       "traffic":[{"version":1,"percent":90},{"version":2,"percent":10}]})")),
            Rollout::kRunning);
  EXPECT_EQ(failure_of({{"version", 2}, {"status_reason", "version 2 failed: bad"}}), "bad");
  EXPECT_EQ(failure_of({{"version", 1}, {"status_reason", "bad"}}), "bad");
  EXPECT_EQ(rollout_of({{"status", "Pending"}}), Rollout::kUnderWay);
  EXPECT_EQ(rollout_of({{"status", "Building"}}), Rollout::kUnderWay);
  EXPECT_EQ(rollout_of({{"status", "Failed"}}), Rollout::kFailed);
  EXPECT_EQ(rollout_of({{"status", "Stopped"}}), Rollout::kStopped);
}

TEST(Invoke, BuildsTheRequest) {
  const Target target{.url = "http://h/", .space = "s", .token = ""};
  const Api api(target);
  InvokeArgs args;
  args.name = "f";
  const auto url_of = [&](std::string path) {
    args.path = std::move(path);
    return invoke_request(api, target, args).value().url;
  };
  EXPECT_EQ(url_of(""), "http://h/spaces/s/functions/f/invoke");
  EXPECT_EQ(url_of("a/b"), "http://h/spaces/s/functions/f/invoke/a/b");
  EXPECT_EQ(url_of("/a%2Fb?x=1"), "http://h/spaces/s/functions/f/invoke/a%2Fb?x=1");
  EXPECT_EQ(url_of("?x=1"), "http://h/spaces/s/functions/f/invoke?x=1");
  EXPECT_EQ(invoke_request(api, target, args).value().method, "GET");
  args.data = "x";
  EXPECT_EQ(invoke_request(api, target, args).value().method, "POST");
  args.headers = {"no colon"};
  EXPECT_FALSE(invoke_request(api, target, args));
  args.headers = {"A: b"};
  EXPECT_TRUE(invoke_request(api, target, args));
  args.name = "UPPER";
  EXPECT_FALSE(invoke_request(api, target, args));
}

TEST(Invoke, RefusesWhatWouldBeAnotherRequest) {
  for (const std::vector<const char*>& words :
       std::vector<std::vector<const char*>>{{"-X", "BAD METHOD"},
                                             {"-X", "GET\r\nA: b"},
                                             {"-H", "A: b\nC: d"},
                                             {"-H", "A: b\rC"},
                                             {"-H", "Content-Length: 3"},
                                             {"-H", "transfer-encoding: chunked"},
                                             {"-H", "A b: c"},
                                             {"-H", ": c"},
                                             {"-p", "/a#b"},
                                             {"-p", "/a b"},
                                             {"-p", "/a\nb"}}) {
    const Ran ran = run({"invoke", "f", words[0], words[1], "--url", "http://127.0.0.1:1"});
    EXPECT_EQ(ran.status, kExitUsage) << words[1];
    EXPECT_THAT(ran.err, StartsWith(std::string("sterna: ") + words[0] + " ")) << words[1];
  }
}

TEST(Usage, UnknownCommandsAreNamed) {
  EXPECT_EQ(run({"bogus"}).status, kExitUsage);
  EXPECT_THAT(run({"bogus"}).err, HasSubstr("there is no command 'bogus'"));
  EXPECT_THAT(run({"spaces", "bogus"}).err, HasSubstr("there is no command 'bogus'"));
  EXPECT_THAT(run({"--bogus"}).err, HasSubstr("there is no flag '--bogus'"));
}

TEST(Usage, VersionsAreNumbers) {
  for (const char* bad : {"abc", "0", "1.5", "99999999999999999999"}) {
    const Ran ran = run({"rollback", "f", bad});
    EXPECT_EQ(ran.status, kExitUsage) << bad;
    EXPECT_THAT(ran.err, HasSubstr(std::string("'") + bad + "' is no version: write its number")) << bad;
  }
}

TEST(Usage, NumbersAreCheckedInOneWay) {
  const std::vector<std::pair<std::vector<const char*>, std::string>> commands = {
      {{"logs", "f", "--tail"}, "from 0 to 10000"},
      {{"listen", "--port"}, "from 0 to 65535"},
      {{"listen", "--status"}, "from 200 to 599"},
      {{"listen", "--once"}, "from 1 to 1000000"},
      {{"dev", ".", "--port"}, "from 0 to 65535"},
      {{"deploy", ".", "--timeout"}, "from 1 to 3600"},
      {{"deploy", ".", "--traffic"}, "from 1 to 100"},
      {{"invocations", "list", "f", "--limit"}, "from 1 to 1000000"},
      {{"invocations", "tail", "f", "--tail"}, "from 0 to 500"},
      {{"invocations", "wait", "f", "id", "--timeout"}, "from 0 to 31622400"},
      {{"audit", "--limit"}, "from 1 to 1000000"},
  };
  for (const auto& [words, range] : commands) {
    for (const char* bad : {"x", "1.5", "-1", "99999999", "99999999999999999999"}) {
      auto line = words;
      line.push_back(bad);
      const Ran ran = run(line);
      EXPECT_EQ(ran.status, kExitUsage) << words[0];
      EXPECT_THAT(ran.err, HasSubstr(words.back() + std::string(": '") + bad +
                                     "' does not do: write a whole number " + range));
    }
  }
  EXPECT_THAT(run({"invocations", "tail", "f", "--interval", "0"}).err,
              HasSubstr("--interval: '0' does not do: write a number from 0.05 to 3600"));
}

TEST(Delete, SaysWhatIsGoneAsJsonToo) {
  TestServer server({reply_with("204 No Content", "", "")});
  const Ran ran = run({"delete", "f", "--json", "--url", server.url().c_str()});
  EXPECT_EQ(Json::parse(ran.out), Json({{"deleted", "f"}}));
}

TEST(Delete, NamesTheFlagThatForces) {
  TestServer server({reply_with(
      "409 Conflict", "Content-Type: application/problem+json\r\n",
      R"({"reason":"secret_in_use","detail":"functions use it: f; change them first, or say force=true"})")});
  const Ran ran = run({"secrets", "delete", "KEY", "--url", server.url().c_str()});
  EXPECT_THAT(ran.err, HasSubstr("or add --force"));
}

TEST(Program, SaysThatJsonOfAnotherShapeIsNoAnswer) {
  for (const char* body : {"[]", "null", "\"x\"", R"({"data":[1]})", ""}) {
    for (const std::vector<const char*>& words : std::vector<std::vector<const char*>>{
             {"rollback", "f", "1"}, {"versions", "diff", "f", "1", "2"}, {"secrets", "list"}}) {
      TestServer server({reply_with("200 OK", "", body)});
      const std::string url = server.url();
      std::vector<const char*> all = words;
      all.insert(all.end(), {"--url", url.c_str()});
      const Ran ran = run(all);
      EXPECT_TRUE(ran.status == kExitOk || ran.status == kExitRefused || ran.status == kExitUnreachable)
          << words.front() << " " << body;
    }
  }
  TestServer server({reply_with("200 OK", "", "[]")});
  const Ran ran = run({"rollback", "f", "1", "--json", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitRefused);
  EXPECT_EQ(Json::parse(ran.err).at("reason"), "broken_answer");
}

TEST(Invoke, AnAnswerOfSomebodyInBetweenIsNotTheFunctions) {
  TestServer server({reply_with("200 OK", "Content-Type: text/html\r\n", "<h1>log in</h1>"),
                     reply_with("502 Bad Gateway", "", "<h1>Bad Gateway</h1>")});
  const std::string url = server.url();
  const Ran page = run({"invoke", "f", "--url", url.c_str()});
  EXPECT_EQ(page.status, kExitPlatformFault);
  EXPECT_EQ(page.out, "");
  EXPECT_THAT(page.err, HasSubstr("HTTP/1.1 200 OK without X-Call-Id"));
  const Ran down = run({"invoke", "f", "--json", "--url", url.c_str()});
  EXPECT_EQ(down.status, kExitPlatformFault);
  EXPECT_EQ(Json::parse(down.err).at("reason"), "http_error");
}

TEST(Invoke, PrintsTheAnswerAndNothingElse) {
  TestServer server({reply_with("404 Not Found", "X-Call-Id: C1\r\n", std::string("a\0b", 3))});
  const Ran ran = run({"invoke", "f", "-d", "{\"a\": 1}", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitOk);
  EXPECT_EQ(ran.out, std::string("a\0b", 3));
  EXPECT_EQ(ran.err, "");
  EXPECT_THAT(server.requests().at(0), StartsWith("POST /spaces/default/functions/f/invoke HTTP/1.1\r\n"));
  EXPECT_THAT(server.requests().at(0), HasSubstr("Content-Type: application/json\r\n"));
}

TEST(Invoke, ShowsTheHeadWhenAsked) {
  TestServer server({reply_with("201 Created", "X-Call-Id: C1\r\n", "b")});
  const Ran ran = run({"invoke", "f", "-i", "-X", "PUT", "-p", "/x", "--url", server.url().c_str()});
  EXPECT_EQ(ran.out, "HTTP/1.1 201 Created\r\nContent-Length: 1\r\nX-Call-Id: C1\r\n\r\nb");
  EXPECT_THAT(server.requests().at(0), StartsWith("PUT /spaces/default/functions/f/invoke/x HTTP/1.1\r\n"));
}

const std::string kFault = "X-Sterna-Fault: function\r\nContent-Type: application/problem+json\r\n";

TEST(Invoke, TakesAFunctionsOwnErrorsAsAnswers) {
  const std::string own = R"({"title": "out of tea"})";
  const std::string large(100'000, 'x');
  TestServer server({reply_with("418 I'm a teapot", "X-Sterna-Fault: function\r\n", "short"),
                     reply_with("500 Oh", kFault, own), reply_with("500 Oh", kFault, large)});
  const std::string url = server.url();
  for (const std::string& body : {std::string("short"), own, large}) {
    const Ran ran = run({"invoke", "f", "--url", url.c_str()});
    EXPECT_EQ(ran.status, kExitOk);
    EXPECT_EQ(ran.out, body);
    EXPECT_EQ(ran.err, "");
  }
}

TEST(Invoke, TellsAFunctionsFaultFromOurs) {
  const std::string problem =
      R"({"reason": "function_raised", "component": "function", "detail": "the handler raised"})";
  TestServer server(
      {reply_with("500 Internal Server Error", kFault + "X-Call-Id: C1\r\n", problem),
       reply_with("429 Too Many Requests", "X-Sterna-Fault: platform\r\n", R"({"reason": "no_capacity"})"),
       reply_with("500 Internal Server Error", kFault, problem)});
  const std::string url = server.url();
  const Ran function = run({"invoke", "f", "--url", url.c_str()});
  EXPECT_EQ(function.status, kExitFunctionFault);
  EXPECT_EQ(function.out, "");
  EXPECT_THAT(function.err, HasSubstr("function fault, function_raised: the handler raised"));
  EXPECT_THAT(function.err, HasSubstr("sterna logs f --call-id C1"));
  const Ran platform = run({"invoke", "f", "--url", url.c_str()});
  EXPECT_EQ(platform.status, kExitPlatformFault);
  EXPECT_THAT(platform.err, HasSubstr("no_capacity"));
  EXPECT_EQ(run({"invoke", "f", "--json", "--url", url.c_str()}).err, problem + "\n");
}

TEST(Invoke, RefusesAFileThatIsNotThere) {
  const Ran ran = run({"invoke", "f", "-d", "@/absent/file", "--url", "http://127.0.0.1:1"});
  EXPECT_EQ(ran.status, kExitUsage);
  EXPECT_THAT(ran.err, HasSubstr("cannot read /absent/file"));
}

TEST(Program, AnswersUsageMistakesWithTwo) {
  EXPECT_EQ(run({}).status, kExitUsage);
  EXPECT_EQ(run({"dance"}).status, kExitUsage);
  EXPECT_EQ(run({"get"}).status, kExitUsage);
  EXPECT_EQ(run({"get", "Not_A_Name"}).status, kExitUsage);
  EXPECT_EQ(run({"logs", "f", "--call-id", "not a ulid"}).status, kExitUsage);
  EXPECT_EQ(run({"--help"}).status, kExitOk);
  EXPECT_THAT(run({"version"}).out, StartsWith("sterna "));
}

TEST(Program, ListsFunctionsAsATable) {
  TestServer server({reply_with(
      "200 OK", "", R"({"data": [{"name": "a", "template": "python3-http", "status": "Running", "version": 2,
                        "metrics": {"replicas": 1, "invocations": 7}, "updated_at": "T"}], "paging": {}})")});
  const Ran ran = run({"--space", "team", "list", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitOk);
  EXPECT_EQ(ran.out,
            "NAME  TEMPLATE      STATUS   VERSION  REPLICAS  INVOCATIONS  UPDATED\n"
            "a     python3-http  Running  2        1         7            T\n");
  EXPECT_THAT(server.requests().at(0), StartsWith("GET /spaces/team/functions?limit=500 "));
}

TEST(Program, PrintsErrorsAsJsonWhenAsked) {
  TestServer server(
      {reply_with("404 Not Found", "", R"({"reason": "function_not_found", "detail": "no f"})"),
       reply_with("404 Not Found", "", R"({"reason": "function_not_found", "detail": "no f"})")});
  const std::string url = server.url();
  const Ran plain = run({"get", "f", "--url", url.c_str()});
  EXPECT_EQ(plain.status, kExitRefused);
  EXPECT_EQ(plain.err, "sterna: no f\n");
  EXPECT_EQ(run({"get", "f", "--json", "--url", url.c_str()}).err,
            "{\"reason\":\"function_not_found\",\"detail\":\"no f\"}\n");
}

const std::string kLines = "Content-Type: application/x-ndjson\r\n";

TEST(Program, APageOfSomebodyInBetweenIsNoLog) {
  TestServer server({reply_with("200 OK", "Content-Type: text/html\r\n", "<h1>log in</h1>")});
  const Ran ran = run({"logs", "f", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitRefused);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, HasSubstr("the server answered HTTP/1.1 200 OK"));
}

TEST(Program, FollowsLogs) {
  TestServer server({reply_with("200 OK", kLines,
                                "{\"timestamp\":\"T1\",\"stream\":\"stdout\",\"text\":\"a\"}\n"
                                "{\"timestamp\":\"T2\",\"stream\":\"stderr\",\"text\":\"b\"}\n")});
  const Ran ran = run({"logs", "f", "-f", "--tail", "5", "--since", "2026-01-01T00:00:00+01:00", "--url",
                       server.url().c_str()});
  EXPECT_EQ(ran.out, "T1 stdout a\nT2 stderr b\n");
  EXPECT_THAT(server.requests().at(0),
              StartsWith("GET /spaces/default/functions/f/logs?follow=true&tail=5&since="
                         "2026-01-01T00:00:00%2B01:00 "));
}

TEST(Program, ShowsTheLogOfTheNewestBuild) {
  TestServer server({reply_with("200 OK", "", R"({"name": "f", "version": 7})"),
                     reply_with("200 OK", kLines, "{\"stream\":\"output\",\"text\":\"a\"}\n"),
                     reply_with("200 OK", kLines, "{\"stream\":\"output\",\"text\":\"b\"}\n")});
  const std::string url = server.url();
  EXPECT_EQ(run({"builds", "logs", "f", "--url", url.c_str()}).out, "a\n");
  EXPECT_EQ(run({"builds", "logs", "f", "2", "-f", "--json", "--url", url.c_str()}).out,
            "{\"stream\":\"output\",\"text\":\"b\"}\n");
  EXPECT_THAT(server.requests().at(1),
              StartsWith("GET /spaces/default/functions/f/builds/7/logs?follow=false "));
  EXPECT_THAT(server.requests().at(2),
              StartsWith("GET /spaces/default/functions/f/builds/2/logs?follow=true "));
}

class DeployTest : public ::testing::Test {
 protected:
  DeployTest() {
    std::string pattern = testing::TempDir() + "/deployXXXXXX";
    folder_ = mkdtemp(pattern.data());
    std::ofstream(folder_ / "hi.py") << "code";
    file_ = (folder_ / "hi.py").native();
  }
  ~DeployTest() override { std::filesystem::remove_all(folder_); }

  static std::string not_found() {
    return reply_with("404 Not Found", "", R"({"reason": "function_not_found"})");
  }
  // To the question for the build's log.
  static std::string no_build() {
    return reply_with("404 Not Found", "", R"({"reason": "build_not_found"})");
  }
  static std::string function(std::string_view status, std::string_view reason = "") {
    return reply_with(
        "200 OK", "",
        Json{{"name", "hi"}, {"version", 1}, {"status", status}, {"status_reason", reason}}.dump());
  }

  std::filesystem::path folder_;
  std::string file_;
};

TEST_F(DeployTest, CreatesAndWaitsUntilItRuns) {
  TestServer server(
      {not_found(), function("Pending"), no_build(), function("Building"), function("Running")});
  const Ran ran = run({"deploy", file_.c_str(), "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_EQ(ran.out, "hi version 1 is Running: " + server.url() + "/spaces/default/functions/hi/invoke\n");
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 5U);
  EXPECT_THAT(requests[1], StartsWith("POST /spaces/default/functions HTTP/1.1\r\n"));
  EXPECT_THAT(requests[1], HasSubstr(R"("source":{"files":{"handler.py":"Y29kZQ=="}})"));
}

TEST_F(DeployTest, ReplacesWhatIsThere) {
  TestServer server({function("Running"), function("Running")});
  EXPECT_EQ(run({"deploy", file_.c_str(), "-q", "--url", server.url().c_str()}).out, "");
  EXPECT_THAT(server.requests().at(1), StartsWith("PUT /spaces/default/functions/hi HTTP/1.1\r\n"));
}

TEST_F(DeployTest, ReplacesWhatAnotherDeployHasMadeMeanwhile) {
  TestServer server({not_found(), reply_with("409 Conflict", "", R"({"reason": "function_exists"})"),
                     function("Pending"), function("Running")});
  const Ran ran = run({"deploy", file_.c_str(), "-q", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_THAT(server.requests().at(3), StartsWith("PUT /spaces/default/functions/hi HTTP/1.1\r\n"));
}

TEST_F(DeployTest, SaysWhyAFunctionFailed) {
  TestServer server(
      {not_found(), function("Pending"), no_build(), function("Failed", "handler.py, line 1: SyntaxError")});
  const Ran ran = run({"deploy", file_.c_str(), "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitRefused);
  EXPECT_THAT(ran.err, HasSubstr("hi version 1 failed: handler.py, line 1: SyntaxError"));
}

TEST_F(DeployTest, ShowsTheBuild) {
  const std::string log = R"({"stream":"platform","text":"building"})"
                          "\n"
                          R"({"stream":"output","text":"handler.cc:3:5: error: x"})"
                          "\n";
  TestServer server({not_found(), function("Building"), reply_with("200 OK", kLines, log),
                     function("Failed", "the build failed: handler.cc:3:5: error: x")});
  const Ran ran = run({"deploy", file_.c_str(), "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitRefused);
  EXPECT_EQ(ran.err,
            "== building\nhandler.cc:3:5: error: x\n"
            "sterna: hi version 1 failed: the build failed: handler.cc:3:5: error: x\n");
  EXPECT_THAT(server.requests().at(2),
              StartsWith("GET /spaces/default/functions/hi/builds/1/logs?follow=true "));
}

TEST_F(DeployTest, LargeCodeThatFailsTakesItsSettingsBack) {
  std::ofstream(folder_ / "hi.py") << std::string(kMaxInlineBytes + 1, '#');
  const auto at = [](int version, int active, std::string_view reason = "") {
    return reply_with("200 OK", "",
                      Json{{"name", "hi"},
                           {"version", version},
                           {"active_version", active},
                           {"status", "Running"},
                           {"status_reason", reason}}
                          .dump());
  };
  const std::string failed = at(3, 2, "version 3 failed: SyntaxError");
  TestServer server({at(1, 1), at(2, 1), at(3, 1), no_build(), failed, failed, at(3, 1)});
  const Ran ran = run({"deploy", file_.c_str(), "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitRefused);
  EXPECT_EQ(ran.err, "sterna: hi version 3 failed: SyntaxError\nVersion 1 gets the calls again\n");
  ASSERT_EQ(server.requests().size(), 7U);
  EXPECT_THAT(server.requests().at(6), StartsWith("PUT /spaces/default/functions/hi/traffic HTTP/1.1\r\n"));
  EXPECT_THAT(server.requests().at(6), HasSubstr(R"({"versions":[{"percent":100,"version":1}]})"));
}

TEST_F(DeployTest, SendsLargeCodeAsAnArchive) {
  std::ofstream(folder_ / "hi.py") << std::string(kMaxInlineBytes + 1, '#');
  TestServer server({not_found(), function("Pending"), function("Running")});
  EXPECT_EQ(run({"deploy", file_.c_str(), "--url", server.url().c_str()}).status, kExitOk);
  EXPECT_THAT(server.requests().at(2), StartsWith("PUT /spaces/default/functions/hi/code HTTP/1.1\r\n"));
  EXPECT_THAT(server.requests().at(2), HasSubstr("Content-Type: application/gzip\r\n"));
}

}  // namespace
}  // namespace sterna::cli
