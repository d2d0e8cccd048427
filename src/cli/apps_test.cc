#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "cli/commands.h"
#include "cli/run_program.h"
#include "cli/stored_logins.h"
#include "cli/test_server.h"

namespace sterna::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kMade =
    R"({"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","client_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","client_secret":"sterna_secret_x"})";

std::string token_reply(std::string_view token, int seconds = 3600) {
  return reply_with("200 OK", "",
                    R"({"access_token":")" + std::string(token) + R"(","token_type":"Bearer","expires_in":)" +
                        std::to_string(seconds) + R"(,"scope":"function"})");
}

std::string empty_list() {
  return reply_with("200 OK", "", R"({"data":[],"paging":{"next_cursor":null}})");
}

// Credentials of the environment, while this lives; the folder for logins is an empty one.
class Environment {
 public:
  explicit Environment(const char* id = "", const char* secret = "") {
    std::string pattern = ::testing::TempDir() + "config-XXXXXX";
    STERNA_ASSERT(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    ::setenv("XDG_CONFIG_HOME", folder_.c_str(), 1);
    ::setenv("STERNA_CLIENT_ID", id, 1);
    ::setenv("STERNA_CLIENT_SECRET", secret, 1);
  }
  ~Environment() {
    for (const char* name : {"XDG_CONFIG_HOME", "STERNA_CLIENT_ID", "STERNA_CLIENT_SECRET"}) ::unsetenv(name);
    std::filesystem::remove_all(folder_);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::filesystem::path folder_;
};

TEST(Apps, AreMadeAndTheirSecretIsPrinted) {
  const Environment environment;
  TestServer server({reply_with("201 Created", "", kMade), reply_with("201 Created", "", kMade)});
  const std::string url = server.url();
  const Ran ran = run({"apps", "create", "ci", "--scope", "function.invoke", "--scope", "app", "--function",
                       "f", "--expires-at", "2030-01-01T00:00:00Z", "--url", url.c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_EQ(ran.out, "client id:      01ARZ3NDEKTSV4RRFFQ69G5FAV\nclient secret:  sterna_secret_x\n");
  EXPECT_THAT(ran.err, HasSubstr("not shown again"));
  EXPECT_THAT(server.requests().at(0), StartsWith("POST /spaces/default/apps HTTP"));
  EXPECT_THAT(
      server.requests().at(0),
      EndsWith(
          R"({"expires_at":"2030-01-01T00:00:00Z","functions":["f"],"name":"ci","scopes":["function.invoke","app"]})"));
  EXPECT_EQ(run({"apps", "create", "ci", "--server", "--scope", "space", "--url", url.c_str()}).status,
            kExitOk);
  EXPECT_THAT(server.requests().at(1), StartsWith("POST /apps HTTP"));
}

TEST(Apps, AreChangedRotatedAndDeletedByNameOrId) {
  const Environment environment;
  TestServer server({reply_with("200 OK", "", R"({"name":"ci","disabled":true})"),
                     reply_with("200 OK", "", R"({"name":"ci","disabled":false})"),
                     reply_with("200 OK", "", kMade), reply_with("204 No Content", "", "")});
  const std::string url = server.url();
  EXPECT_EQ(run({"apps", "update", "ci", "--disable", "--url", url.c_str()}).status, kExitOk);
  EXPECT_EQ(run({"apps", "update", "ci", "--enable", "--expires-at", "", "--url", url.c_str()}).status,
            kExitOk);
  EXPECT_THAT(run({"apps", "rotate", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "--url", url.c_str()}).out,
              HasSubstr("sterna_secret_x"));
  EXPECT_EQ(run({"apps", "delete", "ci", "--url", url.c_str()}).status, kExitOk);
  const auto requests = server.requests();
  EXPECT_THAT(requests.at(0), StartsWith("PATCH /spaces/default/apps/ci HTTP"));
  EXPECT_THAT(requests.at(0), EndsWith(R"({"disabled":true})"));
  EXPECT_THAT(requests.at(1), EndsWith(R"({"disabled":false,"expires_at":null})"));
  EXPECT_THAT(requests.at(2), StartsWith("POST /spaces/default/apps/01ARZ3NDEKTSV4RRFFQ69G5FAV/rotate HTTP"));
  EXPECT_THAT(requests.at(3), StartsWith("DELETE /spaces/default/apps/ci HTTP"));
}

TEST(Audit, IsShownAsATable) {
  const Environment environment;
  const std::string entries = reply_with("200 OK", "",
                                         R"({"data":[{"at":"T","app":{"id":"1","name":"ci"},"address":"::1",
                                         "method":"PUT","path":"/p","status":200,"reason":""},
                                         {"at":"U","app":null,"address":"::1","method":"DELETE","path":"/q",
                                         "status":404,"reason":"app_not_found"}],"paging":{"next_cursor":null}})");
  TestServer server({entries, entries});
  const std::string url = server.url();
  const Ran ran = run({"audit", "--limit", "7", "--url", url.c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("T   ci   ::1      PUT     /p    200"));
  EXPECT_THAT(ran.out, HasSubstr("U   -    ::1      DELETE  /q    404     app_not_found"));
  EXPECT_EQ(run({"audit", "--server", "--url", url.c_str()}).status, kExitOk);
  EXPECT_THAT(server.requests().at(0), StartsWith("GET /spaces/default/audit?limit=7 HTTP"));
  EXPECT_THAT(server.requests().at(1), StartsWith("GET /audit?limit=50 HTTP"));
}

TEST(Apps, BadNamesNeverLeave) {
  const Environment environment;
  TestServer server({});
  EXPECT_EQ(run({"apps", "get", "../x", "--url", server.url().c_str()}).status, kExitUsage);
  EXPECT_EQ(run({"apps", "create", "ci", "--url", server.url().c_str()}).status, kExitUsage) << "no scope";
  EXPECT_TRUE(server.requests().empty());
}

TEST(Tokens, AreGotWithTheCredentialsOfTheEnvironment) {
  const Environment environment("id", "secret");
  TestServer server({token_reply("one"), empty_list()});
  EXPECT_EQ(run({"apps", "list", "--url", server.url().c_str()}).status, kExitOk);
  EXPECT_THAT(server.requests().at(0), StartsWith("POST /oauth2/token HTTP"));
  EXPECT_THAT(server.requests().at(0), HasSubstr("Authorization: Basic aWQ6c2VjcmV0\r\n"));
  EXPECT_THAT(server.requests().at(1), HasSubstr("Authorization: Bearer one\r\n"));
}

TEST(Tokens, AGivenOneComesFirst) {
  const Environment environment("id", "secret");
  TestServer server({empty_list()});
  EXPECT_EQ(run({"apps", "list", "--token", "given", "--url", server.url().c_str()}).status, kExitOk);
  EXPECT_THAT(server.requests().at(0), HasSubstr("Authorization: Bearer given\r\n"));
}

TEST(Tokens, AnotherOneIsGotWhenTheServerRefusesIt) {
  const Environment environment("id", "secret");
  const std::string refusal =
      reply_with("401 Unauthorized", "", R"({"reason":"token_invalid","detail":"no"})");
  TestServer server({token_reply("one"), refusal, token_reply("two"), empty_list()});
  EXPECT_EQ(run({"apps", "list", "--url", server.url().c_str()}).status, kExitOk);
  EXPECT_THAT(server.requests().at(3), HasSubstr("Authorization: Bearer two\r\n"));
  EXPECT_THAT(server.requests().at(3), Not(HasSubstr("Bearer one")));
}

TEST(Tokens, OneIsUsedForSeveralRequestsAsLongAsItIsGood) {
  const Environment environment("id", "secret");
  for (const int seconds : {3600, 5}) {
    const bool lasts = seconds > 60;
    std::deque<std::string> replies = {
        token_reply("one", seconds),
        reply_with("200 OK", "", R"({"data":[{"name":"a"}],"paging":{"next_cursor":"x"}})")};
    if (!lasts) replies.push_back(token_reply("two"));
    replies.push_back(empty_list());
    TestServer server(replies);
    EXPECT_EQ(run({"apps", "list", "--url", server.url().c_str()}).status, kExitOk);
    EXPECT_THAT(server.requests().back(), HasSubstr(lasts ? "Bearer one" : "Bearer two"));
  }
}

TEST(Tokens, HalfOfTheCredentialsIsAMistake) {
  const Environment environment("id", "");
  TestServer server({});
  const Ran ran = run({"apps", "list", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitUsage);
  EXPECT_THAT(ran.err, HasSubstr("STERNA_CLIENT_SECRET"));
}

TEST(Tokens, ItIsSaidWhatToDoWithoutOne) {
  const Environment environment;
  TestServer server(
      {reply_with("401 Unauthorized", "", R"({"reason":"token_missing","detail":"no"})"),
       reply_with("401 Unauthorized", "", R"({"error":"invalid_client","error_description":"no"})")});
  const Ran missing = run({"apps", "list", "--url", server.url().c_str()});
  EXPECT_EQ(missing.status, kExitRefused);
  EXPECT_THAT(missing.err, HasSubstr("sterna login --url " + server.url()));
  ASSERT_TRUE(save_login(logins_file(), server.url(), {.client_id = "gone", .client_secret = "s"}));
  const Ran gone = run({"apps", "list", "--url", server.url().c_str()});
  EXPECT_EQ(gone.status, kExitRefused);
  EXPECT_THAT(gone.err, HasSubstr("Log in again"));
}

TEST(Tokens, AHeaderOfTheUsersOwnIsNotJoinedByAnother) {
  const Environment environment("id", "secret");
  TestServer server({reply_with("200 OK", "X-Call-Id: C1\r\n", "fine")});
  EXPECT_EQ(run({"invoke", "f", "-H", "authorization: Basic x", "--url", server.url().c_str()}).status,
            kExitOk);
  EXPECT_THAT(server.requests().at(0), HasSubstr("authorization: Basic x\r\n"));
  EXPECT_THAT(server.requests().at(0), Not(HasSubstr("Bearer")));
}

}  // namespace
}  // namespace sterna::cli
