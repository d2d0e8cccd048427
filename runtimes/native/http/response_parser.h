// Takes one HTTP/1.1 response from a function's own server, strictly (RFC 9112).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/chunked_body.h"
#include "net/header.h"

namespace sterna::native {

class ResponseParser final : private net::BodySink {
 public:
  // Feeds what came from the server, in parts of any size; keeps what cannot be understood yet. Interim
  // responses (1xx) are dropped. Fails with invalid, reason `bad_http`.
  Status feed(std::string_view bytes);
  // The server has closed the connection: ends a body without a length, fails on anything else unfinished.
  Status end();

  bool head_complete() const { return state_ != State::kHead; }
  bool done() const { return state_ == State::kDone; }
  bool empty() const { return !fed_; }  // not a byte has come
  // The connection can carry another request: the server keeps it, and sent nothing after this response.
  bool keep_alive() const { return keep_alive_ && pending_.empty(); }

  std::uint32_t status() const { return status_; }
  std::uint32_t header_count() const { return header_count_; }
  const std::string& headers() const { return headers_; }  // a block (wire/messages.h)
  std::optional<std::uint64_t> content_length() const { return content_length_; }
  // The body bytes that came since they were taken last.
  std::string take_body();

 private:
  enum class State : std::uint8_t { kHead, kLength, kChunks, kUntilEnd, kDone };

  void on_body_part(std::string_view part) override { body_ += part; }
  // How many bytes at the front of `bytes` are used up.
  Result<std::size_t> take(std::string_view bytes);
  Result<std::size_t> take_head(std::string_view bytes);
  Status read_head(std::string_view head);
  Status note(const net::Header& header);
  Status frame_body();

  State state_ = State::kHead;
  std::size_t scanned_ = 0;  // of the head
  int minor_version_ = 1;
  std::uint32_t status_ = 0;
  std::uint32_t header_count_ = 0;
  std::string headers_;
  net::ConnectionOptions connection_;
  bool chunked_ = false;
  bool keep_alive_ = false;
  std::optional<std::uint64_t> content_length_;
  std::uint64_t left_ = 0;  // of a body with a length
  std::optional<net::ChunkedBody> chunks_;
  std::string body_;
  std::string pending_;  // the beginning of something that is not whole
  bool fed_ = false;
};

}  // namespace sterna::native
