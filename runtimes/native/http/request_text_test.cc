#include "native/http/request_text.h"

#include <gtest/gtest.h>

namespace sterna::native {
namespace {

std::string text_of(std::string_view method, std::string_view path, std::string_view query,
                    const std::vector<std::pair<std::string_view, std::string_view>>& headers,
                    std::optional<std::uint64_t> body_bytes) {
  std::string block;
  for (const auto& [name, value] : headers) wire::append_header(block, name, value);
  return request_head({.method = method,
                       .path = path,
                       .query = query,
                       .header_count = static_cast<std::uint32_t>(headers.size()),
                       .headers = block},
                      body_bytes);
}

TEST(RequestText, IsAWholeHead) {
  EXPECT_EQ(text_of("GET", "/stock", "a=1&b=%C3", {{"Host", "x:80"}, {"X-A", "1"}, {"X-A", "2"}}, 0),
            "GET /stock?a=1&b=%C3 HTTP/1.1\r\nHost: x:80\r\nX-A: 1\r\nX-A: 2\r\n\r\n");
}

TEST(RequestText, EncodesThePathAgain) {
  EXPECT_EQ(text_of("GET", "/a b/caf\xc3\xa9?#%\r\n/~:@!", "", {{"Host", "x"}}, 0),
            "GET /a%20b/caf%C3%A9%3F%23%25%0D%0A/~:@! HTTP/1.1\r\nHost: x\r\n\r\n");
}

TEST(RequestText, FramingIsItsOwn) {
  EXPECT_EQ(text_of("POST", "/", "", {{"content-length", "9"}, {"Transfer-Encoding", "chunked"}}, 4),
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(text_of("PUT", "/", "", {{"Host", "x"}}, 0),
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(text_of("DELETE", "/", "", {{"Host", "x"}}, 0), "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n");
}

TEST(RequestText, BodyOfUnknownLengthComesInChunks) {
  EXPECT_EQ(text_of("POST", "/", "", {{"Host", "x"}, {"Content-Length", "x"}}, std::nullopt),
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
}

}  // namespace
}  // namespace sterna::native
