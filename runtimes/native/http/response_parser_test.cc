#include "native/http/response_parser.h"

#include <gtest/gtest.h>

#include "wire/messages.h"

namespace sterna::native {
namespace {

constexpr std::string_view kPlain = "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello";

std::string fed(ResponseParser& parser, std::string_view text) {
  const Status status = parser.feed(text);
  return status ? "good" : status.error().reason;
}

TEST(ResponseParser, TakesAResponseInPartsOfAnySize) {
  for (std::size_t step = 1; step <= kPlain.size(); ++step) {
    ResponseParser parser;
    std::string body;
    for (std::size_t at = 0; at < kPlain.size(); at += step) {
      ASSERT_TRUE(parser.feed(kPlain.substr(at, step))) << step;
      body += parser.take_body();
    }
    EXPECT_TRUE(parser.done()) << step;
    EXPECT_EQ(body, "hello");
    EXPECT_EQ(parser.header_count(), 2U);
    EXPECT_EQ(parser.content_length(), 5U);
    EXPECT_TRUE(parser.keep_alive());
  }
}

TEST(ResponseParser, AConnectionWithMoreThanAResponseIsNotKept) {
  ResponseParser parser;
  EXPECT_EQ(fed(parser, std::string(kPlain) + "more"), "good");
  EXPECT_TRUE(parser.done());
  EXPECT_FALSE(parser.keep_alive());
}

TEST(ResponseParser, TakesChunksInPartsOfAnySize) {
  constexpr std::string_view kChunks =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7;x=y\r\npart 0\n\r\n3\r\nend\r\n0\r\n\r\n";
  for (std::size_t step = 1; step <= kChunks.size(); ++step) {
    ResponseParser parser;
    for (std::size_t at = 0; at < kChunks.size(); at += step) {
      ASSERT_TRUE(parser.feed(kChunks.substr(at, step))) << step << " at " << at;
    }
    EXPECT_TRUE(parser.done()) << step;
    EXPECT_EQ(parser.take_body(), "part 0\nend") << step;
  }
}

TEST(ResponseParser, DropsInterimResponsesAndTrailers) {
  ResponseParser parser;
  const std::string text =
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 201 Created\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: z\r\n\r\n";
  EXPECT_EQ(fed(parser, text), "good");
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(parser.status(), 201U);
  EXPECT_EQ(parser.header_count(), 2U);
  EXPECT_EQ(parser.take_body(), "abc");
  EXPECT_FALSE(parser.content_length());
}

TEST(ResponseParser, ABodyWithoutALengthEndsWithTheConnection) {
  ResponseParser parser;
  const std::string text = "HTTP/1.0 200 OK\r\n\r\nhal";
  EXPECT_EQ(fed(parser, text), "good");
  EXPECT_FALSE(parser.done());
  EXPECT_FALSE(parser.keep_alive());
  EXPECT_TRUE(parser.end());
  EXPECT_TRUE(parser.done());
}

TEST(ResponseParser, AnUnfinishedResponseIsNone) {
  ResponseParser parser;
  EXPECT_TRUE(parser.empty());
  fed(parser, kPlain.substr(0, kPlain.size() - 1));
  EXPECT_FALSE(parser.empty());
  EXPECT_FALSE(parser.end());
}

TEST(ResponseParser, TheReasonMayBeMissing) {
  for (const char* line : {"HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.1 200 \xc3\xa9"}) {
    ResponseParser parser;
    EXPECT_EQ(fed(parser, std::string(line) + "\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"), "good")
        << line;
    EXPECT_TRUE(parser.done());
    EXPECT_EQ(parser.status(), 200U);
  }
}

TEST(ResponseParser, TheConnectionIsKeptByVersionAndHeader) {
  const auto kept = [](const std::string& head) {
    ResponseParser parser;
    EXPECT_EQ(fed(parser, head + "\r\nContent-Length: 0\r\n\r\n"), "good");
    return parser.keep_alive();
  };
  EXPECT_TRUE(kept("HTTP/1.1 200 OK"));
  EXPECT_FALSE(kept("HTTP/1.1 200 OK\r\nConnection: Close"));
  EXPECT_FALSE(kept("HTTP/1.0 200 OK"));
  EXPECT_TRUE(kept("HTTP/1.0 200 OK\r\nConnection: x, Keep-Alive"));
}

TEST(ResponseParser, AHeadIsBounded) {
  ResponseParser parser;
  EXPECT_EQ(fed(parser, "HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x')), "bad_http");
}

TEST(ResponseParser, NoBodyByStatus) {
  ResponseParser parser;
  fed(parser, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
  EXPECT_TRUE(parser.done());
}

TEST(ResponseParser, RefusesWhatIsNoHttp) {
  for (const char* text :
       {"SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nbad header\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\nX: y\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"}) {
    ResponseParser parser;
    EXPECT_EQ(fed(parser, text), "bad_http") << text;
  }
}

}  // namespace
}  // namespace sterna::native
