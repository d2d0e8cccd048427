// Strict parsing of HTTP/1 requests (RFC 9112): what another server might read differently is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/chunked_body.h"
#include "net/header.h"
#include "net/http_text.h"

namespace sterna::net {

struct HttpRequest {
  std::string_view method;
  std::string_view target;           // as sent; the host of one in absolute-form is Host's value, too
  std::string_view scheme = "http";  // what the client has connected by; https: inside TLS
  int minor_version = 1;             // HTTP/1.x
  std::vector<Header> headers;
  bool keep_alive = true;
  bool expects_continue = false;
  bool chunked = false;
  std::optional<std::uint64_t> content_length;

  // Forgets the request, keeps the memory.
  void clear();
  // The value of the first one; nullptr when absent. Names without regard to case.
  const std::string_view* find(KnownHeader known) const;
  const std::string_view* find(std::string_view name) const;
};

// Whether a Host header, or HTTP/2's :authority, can name a host.
bool is_host(std::string_view value);

// A request target in absolute-form (RFC 9112 3.2.2), as in "http://host:80/path?query".
struct AbsoluteTarget {
  std::string_view authority;  // may be empty, which names no host
  std::string_view rest;       // empty, or from the first of / ? # on
};
// Nullopt: it is in another form, or its scheme is neither http nor https, in letters of any case.
std::optional<AbsoluteTarget> absolute_target(std::string_view target);

// Length of the request head at the front of `data`, with its empty line; 0 when more is needed. Looks only
// at bytes from `scanned` on, and moves it. Fails early, with reason `bad_request`, on a bare LF, a folded
// header line (obs-fold), and a NUL in a head that is not whole: that is no HTTP.
Result<std::size_t> find_head(std::string_view data, std::size_t& scanned);

// Takes one request after the other: its whole head, then its body in parts of any size.
class HttpParser {
 public:
  using BodySink = net::BodySink;

  // Also the limit of what may follow the last chunk of a body.
  explicit HttpParser(std::size_t max_header_bytes) : max_header_bytes_(max_header_bytes) {}

  // `head` is what find_head measured; views in `request`, which is clear, point into it. Fails with invalid,
  // reason `bad_request` or `expectation_failed`.
  Status parse_head(std::string_view head, HttpRequest& request);

  // Feeds body bytes; answers how many belong to this request. Fails with reason `bad_request` on broken
  // chunks.
  Result<std::size_t> parse_body(std::string_view data, BodySink& sink);

  bool complete() const { return complete_; }

 private:
  std::size_t max_header_bytes_;
  bool complete_ = false;
  std::uint64_t left_ = 0;             // of a body with a length
  std::optional<ChunkedBody> chunks_;  // of one without
};

}  // namespace sterna::net
