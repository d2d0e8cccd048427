// The payloads of call frames: written in place, read as views. The layouts are in PROTOCOL.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "wire/bytes.h"
#include "wire/frame.h"

namespace sterna::wire {

inline constexpr std::size_t kPairBytes = 8;  // name_bytes, value_bytes

struct HeaderPair {
  std::string_view name;
  std::string_view value;
};

// Writes one header of a block, kPairBytes and its texts long; answers its end.
inline char* write_header(char* to, const HeaderPair& header) {
  store(to, static_cast<std::uint32_t>(header.name.size()));
  store(to + sizeof(std::uint32_t), static_cast<std::uint32_t>(header.value.size()));
  to = write(to + kPairBytes, header.name);
  return write(to, header.value);
}

// A block of headers: name_bytes u32, value_bytes u32, name, value, repeated.
inline void append_header(std::string& block, std::string_view name, std::string_view value) {
  append_written(block, kPairBytes + name.size() + value.size(),
                 [&](char* to) { write_header(to, {.name = name, .value = value}); });
}

// Walks a block. `next` answers false at the end or when the block is malformed; `ok` tells which.
class HeaderWalk {
 public:
  HeaderWalk(std::string_view block, std::uint32_t count) : rest_(block), left_(count) {}
  bool next(std::string_view& name, std::string_view& value) {
    if (left_ == 0 || broken_) return false;
    broken_ = rest_.size() < kPairBytes;
    if (broken_) return false;
    const auto name_bytes = load<std::uint32_t>(rest_);
    const auto value_bytes = load<std::uint32_t>(rest_, 4);
    broken_ = std::uint64_t{name_bytes} + value_bytes > rest_.size() - kPairBytes;
    if (broken_) return false;
    rest_.remove_prefix(kPairBytes);
    name = take(rest_, name_bytes);
    value = take(rest_, value_bytes);
    --left_;
    return true;
  }
  bool ok() const { return left_ == 0 && rest_.empty() && !broken_; }

 private:
  std::string_view rest_;
  std::uint32_t left_;
  bool broken_ = false;
};

struct RequestHead {
  std::string_view method;
  std::string_view path;   // percent-decoded bytes, begins with '/'
  std::string_view query;  // raw, without '?'
  std::uint32_t header_count = 0;
  std::string_view headers;  // a block
};
// Both directions: `body_part` is all of the body, or its first part when the frame has MORE. The append
// functions write payloads only: put them between open_frame and close_frame.
void append_request(std::string& out, const RequestHead& head, std::string_view body_part);
// The same with headers that stand in no block yet, for which `head` has none, and without a body.
void append_bodyless_request(std::string& out, const RequestHead& head, std::span<const HeaderPair> headers);
// All read functions fail with invalid, reason `bad_frame`, when lengths do not add up or a field breaks
// PROTOCOL.md; header blocks are not walked. The views point into `payload`.
Status read_request(std::string_view payload, RequestHead& head, std::string_view& body_part);

struct ResponseHead {
  std::uint32_t status = 200;
  std::uint64_t run_ns = 0;
  std::uint64_t content_length = kUnknownLength;
  std::uint32_t header_count = 0;
  std::string_view headers;  // a block
};
void append_response(std::string& out, const ResponseHead& head, std::string_view body_part);
Status read_response(std::string_view payload, ResponseHead& head, std::string_view& body_part);

enum class FailKind : std::uint32_t { kRaised = 1, kBadResponse = 2, kCancelled = 3 };
struct Failed {
  FailKind kind{};
  std::uint64_t run_ns = 0;
  std::string_view text;
};
void append_failed(std::string& out, const Failed& failed);
Status read_failed(std::string_view payload, Failed& failed);

// kPlatform: what the runtime itself has to say to the author of the function.
enum class Stream : std::uint8_t { kStdout = 1, kStderr = 2, kPlatform = 3 };
struct LogText {
  Stream stream{};
  std::string_view text;
};
void append_log(std::string& out, const LogText& log);
Status read_log(std::string_view payload, LogText& log);

void append_window(std::string& out, std::uint32_t bytes);
Status read_window(std::string_view payload, std::uint32_t& bytes);

}  // namespace sterna::wire
