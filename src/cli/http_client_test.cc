#include "cli/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/api_client.h"
#include "cli/test_server.h"

namespace sterna::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

HttpRequest get(const std::string& url) {
  return {.method = "GET", .url = url, .headers = {}, .body = {}};
}

TEST(HttpClient, AnswersStatusHeadersAndBody) {
  TestServer server({reply_with("404 Not Found", "X-A: 1\r\nX-A: 2\r\n", "body")});
  HttpClient client;
  const auto reply = client.fetch(get(server.url() + "/x"));
  ASSERT_TRUE(reply) << reply.error().detail;
  EXPECT_EQ(reply->head.status, 404);
  EXPECT_EQ(reply->head.status_line, "HTTP/1.1 404 Not Found");
  EXPECT_EQ(reply->head.find("x-a"), "1");
  EXPECT_EQ(reply->head.find("x-b"), "");
  EXPECT_EQ(reply->body, "body");
}

TEST(HttpClient, SkipsInterimAnswers) {
  TestServer server({"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" + reply_with("200 OK", "", "late")});
  HttpClient client;
  const auto reply = client.fetch(get(server.url()));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->head.status, 200);
  EXPECT_EQ(reply->head.find("X-Early"), "");
}

TEST(HttpClient, SendsMethodHeadersAndBodyUnchanged) {
  TestServer server({reply_with("200 OK", "", "")});
  HttpClient client;
  HttpRequest request = get(server.url() + "/a/../b?x=1&x=2");
  request.method = "PATCH";
  request.headers = {"X-One: 1"};
  request.body = std::string("a\0b", 3);
  ASSERT_TRUE(client.fetch(request));
  const std::string seen = server.requests().at(0);
  EXPECT_THAT(seen, StartsWith("PATCH /a/../b?x=1&x=2 HTTP/1.1\r\n"));
  EXPECT_THAT(seen, HasSubstr("X-One: 1\r\n"));
  EXPECT_TRUE(seen.ends_with(std::string("\r\n\r\na\0b", 7)));
}

TEST(HttpClient, UploadsAFileInChunks) {
  TestServer server({reply_with("200 OK", "", "")});
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
  std::fputs("from a file", file.get());
  ASSERT_EQ(std::fseek(file.get(), 0, SEEK_SET), 0);
  HttpClient client;
  HttpRequest request = get(server.url());
  request.method = "PUT";
  request.upload = file.get();
  ASSERT_TRUE(client.fetch(request));
  EXPECT_THAT(server.requests().at(0), HasSubstr("from a file"));
}

TEST(HttpClient, AnUploadThatCannotBeReadIsNoEmptyOne) {
  TestServer server({reply_with("200 OK", "", "")});
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> folder(std::fopen("/", "rb"), std::fclose);
  ASSERT_NE(folder, nullptr);
  HttpClient client;
  HttpRequest request = get(server.url());
  request.method = "POST";
  request.upload = folder.get();
  const auto reply = client.fetch(request);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().reason, "io_error");
  EXPECT_THAT(reply.error().detail, HasSubstr("Is a directory"));
}

TEST(HttpClient, KeepsItsConnection) {
  TestServer server({reply_with("200 OK", "", "1"), reply_with("200 OK", "", "2")});
  HttpClient client;
  EXPECT_EQ(client.fetch(get(server.url())).value().body, "1");
  EXPECT_EQ(client.fetch(get(server.url())).value().body, "2");
  EXPECT_EQ(server.requests().size(), 2U);
}

TEST(HttpClient, TellsANobodyFromABrokenAnswer) {
  std::string closed_url;
  {
    TestServer server({});
    closed_url = server.url();
  }
  HttpClient client;
  EXPECT_EQ(client.fetch(get(closed_url)).error().reason, "unreachable");

  TestServer server({"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"});
  EXPECT_EQ(client.fetch(get(server.url())).error().reason, "broken_answer");
  EXPECT_EQ(client.fetch(get("ftp://127.0.0.1/")).error().reason, "bad_url");
  EXPECT_EQ(client.fetch(get("http://")).error().reason, "bad_url");
}

TEST(HttpClient, EndsWhenTheSinkHasEnough) {
  TestServer server({reply_with("200 OK", "", "much")});
  HttpClient client;
  std::string seen;
  const HttpSinks sinks{.on_head = {}, .on_body = [&](std::string_view part) {
                          seen = part;
                          return false;
                        }};
  EXPECT_TRUE(client.stream(get(server.url()), sinks));
  EXPECT_EQ(seen, "much");
}

TEST(Api, FollowsThePagesOfAList) {
  TestServer server({reply_with("200 OK", "", R"({"data": [{"n": 1}], "paging": {"next_cursor": "abc"}})"),
                     reply_with("200 OK", "", R"({"data": [{"n": 2}], "paging": {"next_cursor": null}})")});
  const Target target{.url = server.url() + "/", .token = "secret"};
  Api api(target);
  const auto items = api.list("/spaces");
  ASSERT_TRUE(items) << items.error().detail;
  EXPECT_EQ(items->dump(), R"([{"n":1},{"n":2}])");
  const auto requests = server.requests();
  EXPECT_THAT(requests.at(0), StartsWith("GET /spaces?limit=500 "));
  EXPECT_THAT(requests.at(0), HasSubstr("Authorization: Bearer secret\r\n"));
  EXPECT_THAT(requests.at(1), StartsWith("GET /spaces?limit=500&cursor=abc "));
}

TEST(Api, SaysHowToStartAServer) {
  std::string url;
  {
    TestServer server({});
    url = server.url();
  }
  const Target target{.url = url, .token = ""};
  Api api(target);
  const auto answer = api.get("/spaces");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().detail, HasSubstr("sterna serve --auth none"));
  EXPECT_EQ(exit_code_of(answer.error()), kExitUnreachable);
}

TEST(Api, TurnsProblemsIntoErrors) {
  HttpReply reply{.head = {.status = 422, .status_line = "HTTP/1.1 422 Unprocessable", .headers = {}},
                  .body = R"({"reason": "invalid_fields", "detail": "2 fields are wrong",
                              "errors": [{"field": "name", "message": "is missing"}, {"field": "env.A", "message": "x"}]})"};
  const Error error = error_of(reply);
  EXPECT_EQ(error.code, Code::kInvalid);
  EXPECT_EQ(error.reason, "invalid_fields");
  EXPECT_EQ(error.detail, "the server refuses these fields:\n  name: is missing\n  env.A: x");
  reply.body = "<html>";
  EXPECT_EQ(error_of(reply).detail, "the server answered HTTP/1.1 422 Unprocessable");
}

}  // namespace
}  // namespace sterna::cli
