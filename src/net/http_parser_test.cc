#include "net/http_parser.h"

#include <gtest/gtest.h>

namespace sterna::net {
namespace {

TEST(FindHead, MeasuresAtEverySplit) {
  const std::string_view data = "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
  for (std::size_t split = 0; split < data.size(); ++split) {
    std::size_t scanned = 0;
    const auto part = find_head(data.substr(0, split), scanned);
    ASSERT_TRUE(part) << split;
    if (split < 27) {
      EXPECT_EQ(*part, 0U) << split;
      EXPECT_EQ(find_head(data, scanned).value_or(0), 27U) << split;
    } else {
      EXPECT_EQ(*part, 27U) << split;
    }
  }
}

TEST(FindHead, RefusesWhatOthersMayReadDifferently) {
  const std::string_view bad[] = {
      "GET / HTTP/1.1\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n\n",
      "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n\tfolded\r\n\r\n",
      std::string_view("GET /\0", 6),
      std::string_view("GET /\0\r\nHost", 12),
  };
  for (const std::string_view data : bad) {
    std::size_t scanned = 0;
    const auto length = find_head(data, scanned);
    ASSERT_FALSE(length) << data;
    EXPECT_EQ(length.error().reason, "bad_request") << data;
  }
}

class HttpParserTest : public ::testing::Test, private HttpParser::BodySink {
 protected:
  Status parse(std::string_view lines) {
    head_.assign(lines).append("\r\n\r\n");
    request_.clear();
    return parser_.parse_head(head_, request_);
  }
  std::string reason(std::string_view lines) {
    const Status parsed = parse(lines);
    return parsed ? "accepted" : parsed.error().reason;
  }
  Result<std::size_t> feed(std::string_view data) { return parser_.parse_body(data, *this); }

  HttpParser parser_{4096};
  HttpRequest request_;
  std::string head_;
  std::string body_;
  std::string trailers_;

 private:
  void on_body_part(std::string_view part) override { body_ += part; }
  void on_trailer(const Header& field) override {
    trailers_.append(field.name).append("=").append(field.value).append("|");
  }
};

TEST_F(HttpParserTest, ReadsAHead) {
  ASSERT_TRUE(parse("POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two:  2 \r\nContent-Length: 3"));
  EXPECT_EQ(request_.method, "POST");
  EXPECT_EQ(request_.target, "/a?b=c");
  EXPECT_EQ(request_.minor_version, 1);
  EXPECT_TRUE(request_.keep_alive);
  EXPECT_FALSE(request_.chunked);
  EXPECT_EQ(request_.content_length, 3U);
  ASSERT_EQ(request_.headers.size(), 4U);
  EXPECT_EQ(*request_.find("X-TWO"), "1");
  EXPECT_EQ(request_.headers[2].value, "2");
  EXPECT_EQ(request_.find("absent"), nullptr);
}

TEST_F(HttpParserTest, KeepsAliveByVersionAndConnection) {
  ASSERT_TRUE(parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: close"));
  EXPECT_FALSE(request_.keep_alive);
  ASSERT_TRUE(parse("GET / HTTP/1.0"));
  EXPECT_FALSE(request_.keep_alive);
  ASSERT_TRUE(parse("GET / HTTP/1.0\r\nConnection: keep-alive"));
  EXPECT_TRUE(request_.keep_alive);
  ASSERT_TRUE(parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: a , Close\r\nConnection: keep-alive"));
  EXPECT_FALSE(request_.keep_alive);
  EXPECT_EQ(reason("GET / HTTP/1.1\r\nHost: x\r\nConnection: a b"), "bad_request");
}

TEST_F(HttpParserTest, Targets) {
  EXPECT_EQ(reason("GET http://h/p HTTP/1.1\r\nHost: h"), "accepted");
  EXPECT_EQ(request_.target, "http://h/p");
  EXPECT_EQ(reason("GET https://h HTTP/1.1\r\nHost: h"), "accepted");
  EXPECT_EQ(reason("OPTIONS * HTTP/1.1\r\nHost: h"), "accepted");
  for (const char* line :
       {"GET * HTTP/1.1", "GET p HTTP/1.1", "CONNECT h:80 HTTP/1.1", "GET ftp://h/ HTTP/1.1", "GET  HTTP/1.1",
        "GET / HTTP/2.0", "GET /", "G(T / HTTP/1.1", "GET / x HTTP/1.1"}) {
    EXPECT_EQ(reason(std::string(line) + "\r\nHost: h"), "bad_request") << line;
  }
}

TEST_F(HttpParserTest, HostOfAnAbsoluteTargetStandsInThePlaceOfHosts) {
  for (const char* target : {"http://good:80/p", "HTTPS://good:80?q", "hTTp://good:80"}) {
    EXPECT_EQ(reason("GET " + std::string(target) + " HTTP/1.1\r\nX: 1\r\nHost: evil"), "accepted") << target;
    EXPECT_EQ(*request_.find(KnownHeader::kHost), "good:80") << target;
    EXPECT_EQ(request_.headers.size(), 2U);
  }
  EXPECT_EQ(reason("GET http://good HTTP/1.0"), "accepted");
  EXPECT_EQ(*request_.find(KnownHeader::kHost), "good");
  EXPECT_EQ(reason("GET http://good HTTP/1.1"), "bad_request");
  for (const char* target :
       {"http:///p", "http://", "http://?q", "http://user@h/", "http://a,b/", "http:/h/p"}) {
    EXPECT_EQ(reason("GET " + std::string(target) + " HTTP/1.1\r\nHost: h"), "bad_request") << target;
  }
}

TEST_F(HttpParserTest, ConnectionListsAreBounded) {
  const auto names = [](int count) {
    std::string list;
    for (int i = 0; i < count; ++i) list += "a,";
    return list;
  };
  const std::string get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: ";
  EXPECT_EQ(reason(get + names(100)), "accepted");
  EXPECT_EQ(reason(get + names(101)), "bad_request");
  EXPECT_EQ(reason(get + names(51) + "\r\nConnection: " + names(51)), "bad_request");
}

TEST_F(HttpParserTest, ExactlyOneHost) {
  const std::string get = "GET / HTTP/1.1";
  EXPECT_EQ(reason(get), "bad_request");
  EXPECT_EQ(reason("GET / HTTP/1.0"), "accepted");
  EXPECT_EQ(reason(get + "\r\nHost: a\r\nHost: a"), "bad_request");
  EXPECT_EQ(reason("GET / HTTP/1.0\r\nHost: a\r\nHost: a"), "bad_request");
  for (const char* host : {"a:8080", "[::1]:80", "", "127.0.0.1"}) {
    EXPECT_EQ(reason(get + "\r\nHost: " + host), "accepted") << host;
  }
  for (const char* host : {"a b", "a/b", "a,b", "user@a", "a?b", "a#b", "a\\b"}) {
    EXPECT_EQ(reason(get + "\r\nHost: " + host), "bad_request") << host;
  }
}

TEST_F(HttpParserTest, BodyLengthMustBeCertain) {
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(reason(post + "Transfer-Encoding: chunked"), "accepted");
  EXPECT_TRUE(request_.chunked);
  EXPECT_EQ(reason(post + "Content-Length: 0"), "accepted");
  EXPECT_TRUE(parser_.complete());
  for (const char* lines :
       {"Transfer-Encoding: chunked\r\nContent-Length: 3", "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Content-Length: 3\r\nContent-Length: 4", "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3, 3", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length: 3, 4", "Content-Length: -1", "Content-Length: +1", "Content-Length: 0x3",
        "Content-Length: ", "Content-Length: 1 2", "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding : chunked", "Content-Length : 3"}) {
    EXPECT_EQ(reason(post + lines), "bad_request") << lines;
  }
  EXPECT_EQ(reason("POST / HTTP/1.0\r\nTransfer-Encoding: chunked"), "bad_request");
}

TEST_F(HttpParserTest, MalformedHeaderLines) {
  const std::string_view bad[] = {"no colon", ": no name",  "a b: c",  "X-\x01: a",
                                  "X: \x01",  "(: a",       "X: \x7f", "X: a\rY: b",
                                  "X: a\r",   "X: a\nY: b", " folded", std::string_view("X: a\0b", 6)};
  for (const std::string_view line : bad) {
    EXPECT_EQ(reason(std::string("GET / HTTP/1.1\r\nHost: a\r\n").append(line)), "bad_request") << line;
  }
}

TEST_F(HttpParserTest, Expectations) {
  ASSERT_TRUE(parse("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1"));
  EXPECT_TRUE(request_.expects_continue);
  ASSERT_TRUE(parse("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1"));
  EXPECT_FALSE(request_.expects_continue);  // RFC 9110 10.1.1
  EXPECT_EQ(reason("PUT / HTTP/1.1\r\nHost: a\r\nExpect: a cake"), "expectation_failed");
}

TEST_F(HttpParserTest, BodyOfKnownLengthEndsThere) {
  ASSERT_TRUE(parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5"));
  EXPECT_EQ(feed("hel").value_or(0), 3U);
  EXPECT_FALSE(parser_.complete());
  EXPECT_EQ(feed("loGET / HTTP").value_or(0), 2U);
  EXPECT_TRUE(parser_.complete());
  EXPECT_EQ(body_, "hello");
}

TEST_F(HttpParserTest, ChunksInPartsOfAnySize) {
  const std::string data = "3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nT-One: x\r\nT-Two: y\r\n\r\n";
  for (std::size_t step = 1; step <= data.size(); ++step) {
    ASSERT_TRUE(parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"));
    body_.clear();
    trailers_.clear();
    std::string waiting;
    for (std::size_t at = 0; at < data.size(); at += step) {
      waiting += data.substr(at, step);
      const auto used = feed(waiting);
      ASSERT_TRUE(used) << step;
      waiting.erase(0, *used);
    }
    EXPECT_TRUE(parser_.complete()) << step;
    EXPECT_EQ(waiting, "") << step;
    EXPECT_EQ(body_, "abc0123456789") << step;
    EXPECT_EQ(trailers_, "T-One=x|T-Two=y|") << step;
    EXPECT_EQ(request_.headers.size(), 2U) << step;  // trailers are none of them
  }
}

TEST_F(HttpParserTest, BrokenChunks) {
  const std::string_view broken[] = {"x\r\n",
                                     "-1\r\n",
                                     "3\r\nabcd\r\n",
                                     "3\nabc\r\n",
                                     "FFFFFFFFFFFFFFFFF\r\n",
                                     "3\r\nabcX\r\n",
                                     "\r\n",
                                     "3 \r\nabc\r\n",
                                     "3 x\r\nabc\r\n",
                                     "3;\r\nabc\r\n",
                                     "3;a=\r\nabc\r\n",
                                     "3;a=\"b\r\nabc\r\n",
                                     "3;a\rb\r\nabc\r\n",
                                     "00000000000000003\r\nabc\r\n",
                                     std::string_view("3;a\0b\r\nabc\r\n", 12)};
  for (const std::string_view data : broken) {
    ASSERT_TRUE(parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"));
    EXPECT_FALSE(feed(std::string(data) + "0\r\n\r\n")) << data;
  }
}

TEST_F(HttpParserTest, ExtensionsOfChunksArePassedOver) {
  for (const char* line : {"3;a", "3;a=b", "3;a=\"b \\\" c\";d", "3 ; a = b", "03"}) {
    ASSERT_TRUE(parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"));
    body_.clear();
    EXPECT_TRUE(feed(std::string(line) + "\r\nabc\r\n0\r\n\r\n")) << line;
    EXPECT_TRUE(parser_.complete()) << line;
    EXPECT_EQ(body_, "abc") << line;
  }
}

TEST_F(HttpParserTest, LinesBetweenAndBehindChunksAreBounded) {
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked";
  ASSERT_TRUE(parse(post));
  EXPECT_EQ(feed("3;" + std::string(1000, 'x')).value_or(1), 0U);
  EXPECT_FALSE(feed("3;" + std::string(5000, 'x')));
  ASSERT_TRUE(parse(post));
  EXPECT_FALSE(feed("0\r\nA: " + std::string(5000, 'x')));
  ASSERT_TRUE(parse(post));
  std::string trailers = "0\r\n";
  for (int i = 0; i < 1000; ++i) trailers += "A: b\r\n";
  EXPECT_FALSE(feed(trailers + "\r\n"));
}

TEST_F(HttpParserTest, WhatFramesAMessageIsNoTrailer) {
  for (const char* line :
       {"Content-Length: 1", "Transfer-Encoding: chunked", "Host: b", "no trailer", " folded: a"}) {
    ASSERT_TRUE(parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"));
    EXPECT_FALSE(feed(std::string("0\r\n") + line + "\r\n\r\n")) << line;
  }
}

}  // namespace
}  // namespace sterna::net
