// Two parsers that read a request differently are how requests are smuggled. What ours accepts, another one
// that was written by others must accept too, and read in the same way.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <random>

#include "net/http_parser.h"

namespace sterna::net {
namespace {

namespace http = boost::beast::http;

struct Read {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;  // sorted, trailers too
  bool keep_alive = false;
  bool chunked = false;
  std::optional<std::uint64_t> length;
  std::string body;
  std::size_t used = 0;  // bytes of the request

  bool operator==(const Read&) const = default;
};

void PrintTo(const Read& read, std::ostream* out) {
  *out << read.method << ' ' << read.target << " keep_alive " << read.keep_alive << " chunked "
       << read.chunked << " length " << (read.length ? std::to_string(*read.length) : "none") << " body '"
       << read.body << "' used " << read.used;
  for (const auto& [name, value] : read.headers) *out << " [" << name << "=" << value << "]";
}

class Collector final : public BodySink {
 public:
  explicit Collector(Read& read) : read_(read) {}

 private:
  void on_body_part(std::string_view part) override { read_.body += part; }
  void on_trailer(const Header& trailer) override { read_.headers.emplace_back(trailer.name, trailer.value); }

  Read& read_;
};

// Nullopt: refused, or not whole.
std::optional<Read> read_ours(std::string_view data) {
  std::size_t scanned = 0;
  const auto length = find_head(data, scanned);
  if (!length || *length == 0) return std::nullopt;
  HttpParser parser(4096);
  HttpRequest request;
  if (!parser.parse_head(data.substr(0, *length), request)) return std::nullopt;
  Read read{.method = std::string(request.method),
            .target = std::string(request.target),
            .headers = {},
            .keep_alive = request.keep_alive,
            .chunked = request.chunked,
            .length = request.content_length,
            .body = {},
            .used = *length};
  for (const Header& header : request.headers) read.headers.emplace_back(header.name, header.value);
  Collector collector(read);
  while (!parser.complete()) {
    const auto used = parser.parse_body(data.substr(read.used), collector);
    if (!used || *used == 0) return std::nullopt;
    read.used += *used;
  }
  std::ranges::sort(read.headers);
  return read;
}

std::optional<Read> read_beasts(std::string_view data) {
  http::request_parser<http::string_body> parser;
  parser.eager(true);
  Read read;
  boost::system::error_code ec;
  while (!parser.is_done()) {
    const std::size_t used =
        parser.put(boost::asio::const_buffer(data.data() + read.used, data.size() - read.used), ec);
    read.used += used;
    if ((ec && ec != http::error::need_more) || (used == 0 && !parser.is_done())) return std::nullopt;
  }
  const auto& message = parser.get();
  read.method = std::string(message.method_string());
  read.target = std::string(message.target());
  for (const auto& field : message.base())
    read.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  std::ranges::sort(read.headers);
  read.keep_alive = parser.keep_alive();
  read.chunked = parser.chunked();
  if (const auto length = parser.content_length()) read.length = *length;
  read.body = message.body();
  return read;
}

constexpr std::string_view kRequests[] = {
    "GET /spaces/default?a=b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nConnection: close\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a:80\r\nContent-Length: 4\r\nConnection: keep-alive, x\r\n\r\nbody",
    "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=\"y\"\r\nd\r\n0\r\n\r\n",
    "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nA: b\r\n\r\n",
    "DELETE /b HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nX: \r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
};
constexpr std::string_view kPieces[] = {
    "\r",  "\n",       "\r\n", " ",    "\t",     ":",           ";",
    ",",   "0",        "1",    "4",    "a",      "F",           std::string_view("\0", 1),
    "+",   "-",        "x",    "\x7f", "\x80",   "\r\n\r\n",    "Content-Length: 4\r\n",
    "0x1", " chunked", "/",    "\x0b", "HTTP/1", "Host: b\r\n", "Transfer-Encoding: chunked\r\n",
    "=",   "close",    "\"",   "?",    "#",      "Connection:", "Transfer-Encoding: gzip\r\n",
};

std::string mutated(std::mt19937& random) {
  const auto below = [&](std::size_t limit) { return random() % limit; };
  std::string data(kRequests[below(std::size(kRequests))]);
  for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
    const std::size_t at = below(data.size() + 1);
    const std::string_view piece = kPieces[below(std::size(kPieces))];
    switch (below(4)) {
      case 0:
        data.erase(at, 1 + below(3));
        break;
      case 1:
        data.replace(at, piece.size(), piece);
        break;
      default:
        data.insert(at, piece);
    }
  }
  return data;
}

TEST(ParserBesideBeasts, AcceptsNothingThatItReadsDifferently) {
  constexpr int kTries = 60'000;
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same requests each time
  int accepted = 0;
  for (int i = 0; i < kTries; ++i) {
    const std::string data = mutated(random);
    const auto ours = read_ours(data);
    if (!ours) continue;
    ++accepted;
    const auto other = read_beasts(data);
    ASSERT_TRUE(other) << "only we accept: " << ::testing::PrintToString(data);
    ASSERT_EQ(*ours, *other) << ::testing::PrintToString(data);
  }
  EXPECT_GT(accepted, kTries / 10);
  EXPECT_LT(accepted, kTries);
}

}  // namespace
}  // namespace sterna::net
