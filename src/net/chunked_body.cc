#include "net/chunked_body.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "net/http_text.h"

namespace sterna::net {
namespace {

constexpr std::size_t kMaxSizeDigits = 16;
constexpr std::size_t kMaxSizeLine = 4096;  // with extensions, which nobody looks at

std::unexpected<Error> bad_chunk(const char* detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_request",
              std::string("the body is malformed: ") + detail);
}

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

bool take_token(std::string_view& text) {
  const std::size_t size = kTokenChars.span(text);
  text.remove_prefix(size);
  return size > 0;
}

// `text` begins behind the first quote.
bool take_quoted_rest(std::string_view& text) {
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c == '"') return true;
    if (c == '\\' && !text.empty()) text.remove_prefix(1);
  }
  return false;
}

// chunk-ext of RFC 9112 7.1.1: nobody looks at them, but a text that is none may be read differently
// elsewhere.
bool are_extensions(std::string_view text) {
  while (!text.empty()) {
    skip_blanks(text);
    if (!take(text, ';')) return false;
    skip_blanks(text);
    if (!take_token(text)) return false;
    std::string_view value = text;
    skip_blanks(value);
    if (!take(value, '=')) continue;
    skip_blanks(value);
    if (take(value, '"') ? !take_quoted_rest(value) : !take_token(value)) return false;
    text = value;
  }
  return true;
}

// RFC 9110 6.5.1: what decides how a message is read comes before it.
bool is_about_the_message(KnownHeader header) {
  return header == KnownHeader::kTransferEncoding || header == KnownHeader::kContentLength ||
         header == KnownHeader::kConnection || header == KnownHeader::kHost || header == KnownHeader::kExpect;
}

// Length of the line at the front with its CR LF; 0: it is not whole. Fails on what is no line.
Result<std::size_t> line_length(std::string_view data, std::size_t limit) {
  const std::size_t end = data.substr(0, limit).find('\n');
  if (end == std::string_view::npos) {
    if (data.size() >= limit) return bad_chunk("a line between chunks or behind them is too long");
    return 0;
  }
  if (end == 0 || data[end - 1] != '\r' || !is_field_value(data.substr(0, end - 1)))
    return bad_chunk("a line between chunks or behind them ends without CR LF or holds control characters");
  return end + 1;
}

}  // namespace

Result<std::size_t> ChunkedBody::feed(std::string_view data, BodySink& sink) {
  std::size_t used = 0;
  while (used < data.size() && !complete()) {
    const std::string_view rest = data.substr(used);
    Result<std::size_t> step = 0;
    switch (state_) {
      case State::kSize:
        step = take_size(rest);
        break;
      case State::kData:
        step = take_data(rest, sink);
        break;
      case State::kDataEnd:
        step = take_data_end(rest);
        break;
      case State::kTrailers:
        step = take_trailer(rest, sink);
        break;
      case State::kComplete:
        break;
    }
    if (!step) return step;
    if (*step == 0) break;
    used += *step;
  }
  return used;
}

Result<std::size_t> ChunkedBody::take_size(std::string_view data) {
  const auto line = line_length(data, kMaxSizeLine);
  if (!line || *line == 0) return line;
  const std::string_view text = data.substr(0, *line - 2);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), left_, 16);
  const auto digits = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || digits > kMaxSizeDigits || text.front() == '-')
    return bad_chunk("a chunk has no size in at most 16 hex digits");
  if (!are_extensions(text.substr(digits)))
    return bad_chunk("something other than an extension follows the size of a chunk");
  state_ = left_ == 0 ? State::kTrailers : State::kData;
  return line;
}

std::size_t ChunkedBody::take_data(std::string_view data, BodySink& sink) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), left_));
  left_ -= size;
  if (left_ == 0) state_ = State::kDataEnd;
  sink.on_body_part(data.substr(0, size));
  return size;
}

Result<std::size_t> ChunkedBody::take_data_end(std::string_view data) {
  constexpr std::string_view kEnd = "\r\n";
  const std::string_view end = data.substr(0, kEnd.size());
  if (!kEnd.starts_with(end)) return bad_chunk("a chunk is longer than its size");
  if (end.size() < kEnd.size()) return 0;
  state_ = State::kSize;
  return kEnd.size();
}

Result<std::size_t> ChunkedBody::take_trailer(std::string_view data, BodySink& sink) {
  const auto line = line_length(data, trailer_room_);
  if (!line || *line == 0) return line;
  trailer_room_ -= *line;
  if (*line == 2) {
    state_ = State::kComplete;
    return line;
  }
  std::string_view text = data.substr(0, *line);
  const auto trailer = take_header(text);
  if (!trailer) return bad_chunk("a line behind the last chunk is no header");
  if (is_about_the_message(trailer->known))
    return bad_chunk("a header behind the last chunk is one that must stand in the head");
  sink.on_trailer(*trailer);
  return line;
}

}  // namespace sterna::net
