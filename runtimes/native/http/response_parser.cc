#include "native/http/response_parser.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "net/http_parser.h"
#include "wire/messages.h"

namespace sterna::native {
namespace {

using net::KnownHeader;

constexpr std::size_t kMaxHeadBytes = 64U << 10;
constexpr std::string_view kStart = "HTTP/1.";

std::unexpected<Error> bad_http(std::string detail) {
  return fail(Code::kInvalid, Component::kFunction, "bad_http", std::move(detail));
}

struct StatusLine {
  int minor_version = 1;
  std::uint32_t status = 0;
};

// Nullopt: it is none (RFC 9112 4). Some servers leave out the space before a reason that is empty.
std::optional<StatusLine> read_status_line(std::string_view line) {
  constexpr std::size_t kDigits = 3;
  constexpr std::size_t kStatusAt = kStart.size() + 2;
  constexpr std::size_t kEnd = kStatusAt + kDigits;
  if (line.size() < kEnd || !line.starts_with(kStart) || line[kStatusAt - 1] != ' ' ||
      (line.size() > kEnd && line[kEnd] != ' ') || !net::is_field_value(line))
    return std::nullopt;
  const char minor = line[kStart.size()];
  StatusLine read{.minor_version = minor - '0', .status = 0};
  const char* const end = line.data() + kEnd;
  const auto number = std::from_chars(line.data() + kStatusAt, end, read.status);
  if ((minor != '0' && minor != '1') || number.ec != std::errc() || number.ptr != end || read.status < 100)
    return std::nullopt;
  return read;
}

}  // namespace

Status ResponseParser::feed(std::string_view bytes) {
  fed_ = fed_ || !bytes.empty();
  std::string joined;
  if (!pending_.empty()) bytes = joined = std::exchange(pending_, {}).append(bytes);
  while (!bytes.empty() && !done()) {
    const auto used = take(bytes);
    if (!used) return bad_http(used.error().detail);
    if (*used == 0) break;
    bytes.remove_prefix(*used);
  }
  pending_ = bytes;
  return {};
}

Result<std::size_t> ResponseParser::take(std::string_view bytes) {
  switch (state_) {
    case State::kHead:
      return take_head(bytes);
    case State::kChunks: {
      const auto used = chunks_->feed(bytes, *this);
      if (chunks_->complete()) state_ = State::kDone;
      return used;
    }
    case State::kLength: {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_));
      left_ -= size;
      body_ += bytes.substr(0, size);
      if (left_ == 0) state_ = State::kDone;
      return size;
    }
    case State::kUntilEnd:
      body_ += bytes;
      return bytes.size();
    case State::kDone:
      break;
  }
  return 0;
}

Result<std::size_t> ResponseParser::take_head(std::string_view bytes) {
  if (!kStart.starts_with(bytes.substr(0, kStart.size()))) return bad_http("it does not begin with HTTP/1.");
  const auto length = net::find_head(bytes, scanned_);
  if (!length) return length;
  if (*length > kMaxHeadBytes || (*length == 0 && bytes.size() > kMaxHeadBytes))
    return bad_http("its headers are larger than 64 KiB");
  if (*length == 0) return 0;
  scanned_ = 0;
  if (const Status read = read_head(bytes.substr(0, *length)); !read) return std::unexpected(read.error());
  if (status_ == 101) return bad_http("it switches protocols, which nobody asked for");
  if (status_ < 200) return length;  // the real one follows
  if (const Status framed = frame_body(); !framed) return std::unexpected(framed.error());
  return length;
}

Status ResponseParser::read_head(std::string_view head) {
  const std::size_t end = head.find('\r');
  const auto line = read_status_line(head.substr(0, end));
  if (!line) return bad_http("its status line is not: HTTP/1.1, space, status, space, reason");
  minor_version_ = line->minor_version;
  status_ = line->status;
  head.remove_prefix(end + 2);
  header_count_ = 0;
  headers_.clear();
  connection_ = {};
  chunked_ = false;
  content_length_.reset();
  while (head != "\r\n") {
    const auto header = net::take_header(head);
    if (!header) return bad_http("a line of its head is not: name, colon, value without control characters");
    if (Status noted = note(*header); !noted) return noted;
    wire::append_header(headers_, header->name, header->value);
    ++header_count_;
  }
  return {};
}

Status ResponseParser::note(const net::Header& header) {
  switch (header.known) {
    case KnownHeader::kContentLength: {
      const auto length = net::content_length(header.value);
      if (!length) return bad_http("its Content-Length is not one number");
      if (content_length_.value_or(*length) != *length)
        return bad_http("it has two different Content-Lengths");
      content_length_ = length;
      return {};
    }
    case KnownHeader::kTransferEncoding:
      if (chunked_ || !net::equal_ignoring_case(header.value, "chunked"))
        return bad_http("its Transfer-Encoding is another one than chunked");
      chunked_ = true;
      return {};
    case KnownHeader::kConnection:
      if (!net::read_connection(header.value, connection_))
        return bad_http("its Connection header is no list of names");
      return {};
    default:
      return {};
  }
}

// RFC 9112 6.3
Status ResponseParser::frame_body() {
  if (chunked_ && content_length_) return bad_http("it has a Content-Length and a Transfer-Encoding");
  const bool bodyless = status_ == 204 || status_ == 304;
  keep_alive_ = !connection_.close && (minor_version_ == 1 || connection_.keep_alive);
  if (bodyless || content_length_ == 0U) {
    state_ = State::kDone;
  } else if (chunked_) {
    state_ = State::kChunks;
    chunks_.emplace(kMaxHeadBytes);
  } else if (content_length_) {
    state_ = State::kLength;
    left_ = *content_length_;
  } else {
    state_ = State::kUntilEnd;
    keep_alive_ = false;
  }
  return {};
}

Status ResponseParser::end() {
  if (state_ == State::kUntilEnd) state_ = State::kDone;
  if (done()) return {};
  return bad_http("it is not whole");
}

std::string ResponseParser::take_body() {
  return std::exchange(body_, {});
}

}  // namespace sterna::native
