// Takes one HTTP/1.1 response from a function's own server, strictly (RFC 9112), on Beast's parser.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna::native {

class ResponseParser {
 public:
  ResponseParser();
  ~ResponseParser();
  ResponseParser(const ResponseParser&) = delete;
  ResponseParser& operator=(const ResponseParser&) = delete;

  // Feeds what came from the server, in parts of any size; keeps what cannot be understood yet. Interim
  // responses (1xx) are dropped. Fails with invalid, reason `bad_http`.
  Status feed(std::string_view bytes);
  // The server has closed the connection: ends a body without a length, fails on anything else unfinished.
  Status end();

  bool head_complete() const;
  bool done() const;
  bool empty() const { return !fed_; }  // not a byte has come
  // The connection can carry another request: the server keeps it, and sent nothing after this response.
  bool keep_alive() const;

  std::uint32_t status() const;
  std::uint32_t header_count() const;
  const std::string& headers() const;  // a block (wire/messages.h)
  std::optional<std::uint64_t> content_length() const;
  // The body bytes that came since they were taken last.
  std::string take_body();

 private:
  class Impl;
  void begin();

  std::unique_ptr<Impl> impl_;
  std::string pending_;  // the beginning of something that is not whole
  bool fed_ = false;
};

}  // namespace sterna::native
