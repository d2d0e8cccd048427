// A body in chunks (RFC 9112 7.1), decoded strictly: what two servers might read differently is an error.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "net/header.h"

namespace sterna::net {

// Receives decoded body bytes.
class BodySink {
 public:
  virtual ~BodySink() = default;
  virtual void on_body_part(std::string_view part) = 0;
  // A field behind the last chunk; dropped unless somebody wants it.
  virtual void on_trailer(const Header& /*field*/) {}
};

class ChunkedBody {
 public:
  // `max_trailer_bytes`: of all lines behind the last chunk.
  explicit ChunkedBody(std::size_t max_trailer_bytes) : trailer_room_(max_trailer_bytes) {}

  // Answers how many bytes are used up: lines are used when they are whole. Fails with invalid, reason
  // `bad_request`.
  Result<std::size_t> feed(std::string_view data, BodySink& sink);
  bool complete() const { return state_ == State::kComplete; }

 private:
  enum class State : std::uint8_t { kSize, kData, kDataEnd, kTrailers, kComplete };

  Result<std::size_t> take_size(std::string_view data);
  std::size_t take_data(std::string_view data, BodySink& sink);
  Result<std::size_t> take_data_end(std::string_view data);
  Result<std::size_t> take_trailer(std::string_view data, BodySink& sink);

  State state_ = State::kSize;
  std::uint64_t left_ = 0;  // of the chunk
  std::size_t trailer_room_;
};

}  // namespace sterna::net
