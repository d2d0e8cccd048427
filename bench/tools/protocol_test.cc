#include "protocol.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace sterna::bench {
namespace {

// Feeds `text` byte by byte, so that every cut is met, and answers the replies found.
std::vector<Reply> replies_of(const Protocol& protocol, std::string_view text) {
  std::vector<Reply> found;
  std::string in;
  for (const char byte : text) {
    in += byte;
    while (auto reply = protocol.take_reply(in)) found.push_back(*reply);
  }
  EXPECT_EQ(in, "");
  return found;
}

TEST(Http, TheRequestCarriesCallbackAndBody) {
  const auto protocol = http_protocol({.path = "/a", .callback = "http://127.0.0.1:1/", .body = "body"});
  const auto message = http_message(protocol->request(0));
  EXPECT_EQ(protocol->request(0).substr(0, 17), "POST /a HTTP/1.1\r");
  EXPECT_NE(protocol->request(0).find("X-Callback-Url: http://127.0.0.1:1/\r\n"), std::string::npos);
  EXPECT_TRUE(protocol->request(0).ends_with("\r\n\r\nbody"));
  EXPECT_TRUE(message.has_value());
}

TEST(Http, Only202IsAcceptance) {
  const auto protocol = http_protocol({.path = "/", .callback = "", .body = ""});
  const auto found = replies_of(*protocol,
                                "HTTP/1.1 202 Accepted\r\nx-call-id: 01A\r\nContent-Length: 2\r\n\r\n{}"
                                "HTTP/1.1 503 No\r\nX-Call-Id: 01B\r\nContent-Length: 4\r\n\r\nfull"
                                "HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_TRUE(found[0].accepted);
  EXPECT_EQ(found[0].id, "01A");
  EXPECT_FALSE(found[1].accepted);
  EXPECT_EQ(found[1].text, "HTTP/1.1 503 No full");
  EXPECT_FALSE(found[2].accepted);
}

TEST(Http, ChunksAreNotMistakenForAnEmptyBody) {
  EXPECT_THROW(http_message("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), std::runtime_error);
}

TEST(Http, HeadersAreFoundByTheirWholeName) {
  constexpr std::string_view kHead =
      "POST / HTTP/1.1\r\nX-Call-Id-Other: no\r\nX-CALL-ID:  yes\r\nEmpty:\r\n";
  EXPECT_EQ(header(kHead, "X-Call-Id"), "yes");
  EXPECT_EQ(header(kHead, "Empty"), "");
  EXPECT_EQ(header(kHead, "Absent"), "");
}

TEST(Nats, AcknowledgementsAreAcceptedAndErrorsAreNot) {
  const auto protocol = nats_protocol("bench", "body");
  EXPECT_EQ(protocol->request(3), "PUB bench _INBOX.bench.3 4\r\nbody\r\n");
  EXPECT_NE(protocol->hello(3).find("SUB _INBOX.bench.3 1\r\n"), std::string::npos);
  const auto found =
      replies_of(*protocol,
                 "INFO {}\r\nMSG _INBOX.bench.3 1 26\r\n{\"stream\":\"BENCH\",\"seq\":1}\r\nPING\r\n"
                 "MSG _INBOX.bench.3 1 11\r\n{\"error\":1}\r\n-ERR 'no'\r\n");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_TRUE(found[0].accepted);
  EXPECT_FALSE(found[1].accepted);
  EXPECT_EQ(found[2].text, "-ERR 'no'");
}

TEST(Redis, AnIdIsAcceptanceAndAnErrorIsNot) {
  const auto protocol = redis_protocol("bench", "body");
  EXPECT_EQ(protocol->request(0),
            "*5\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$1\r\n*\r\n$4\r\nbody\r\n$4\r\nbody\r\n");
  const auto found = replies_of(*protocol, "$3\r\n1-1\r\n-ERR full\r\n");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_TRUE(found[0].accepted);
  EXPECT_FALSE(found[1].accepted);
  EXPECT_EQ(found[1].text, "-ERR full");
}

}  // namespace
}  // namespace sterna::bench
