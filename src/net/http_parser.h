// Strict parsing of HTTP/1 requests (RFC 9112) on Beast's parser; what Beast tolerates and a gateway must
// not, is refused here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sterna::net {

struct Header {
  std::string_view name;
  std::string_view value;
};

struct HttpRequest {
  std::string_view method;
  std::string_view target;  // as sent
  int minor_version = 1;    // HTTP/1.x
  std::vector<Header> headers;
  bool keep_alive = true;
  bool expects_continue = false;
  bool chunked = false;
  std::optional<std::uint64_t> content_length;

  // Forgets the request, keeps the memory.
  void clear();
  // The first header of that name, without regard to case; nullptr when absent.
  const std::string_view* find(std::string_view name) const;
};

bool equal_ignoring_case(std::string_view a, std::string_view b);

// Length of the request head at the front of `data`, with its empty line; 0 when more is needed. Looks only
// at bytes from `scanned` on, and moves it. Fails with reason `bad_request` on a bare LF or CR, NUL or a
// folded header line (obs-fold).
Result<std::size_t> find_head(std::string_view data, std::size_t& scanned);

// Takes one request: first its whole head, then its body in parts of any size.
class HttpParser {
 public:
  // Receives decoded body bytes.
  class BodySink {
   public:
    virtual ~BodySink() = default;
    virtual void on_body_part(std::string_view part) = 0;
    // A field behind the last chunk; dropped unless somebody wants it.
    virtual void on_trailer(const Header& /*field*/) {}
  };

  explicit HttpParser(std::size_t max_header_bytes);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // `head` is what find_head measured; views in `request` point into it. Fails with invalid, reason
  // `bad_request`.
  Status parse_head(std::string_view head, HttpRequest& request);

  // Feeds body bytes; answers how many belong to this request. Fails with reason `bad_request` on broken
  // chunks.
  Result<std::size_t> parse_body(std::string_view data, BodySink& sink);

  bool complete() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
  std::size_t max_header_bytes_;
};

}  // namespace sterna::net
