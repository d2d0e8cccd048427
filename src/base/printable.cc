#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/locale/utf.hpp>

namespace sterna {
namespace {

bool steers(char32_t c) {
  const bool is_control = (c < U' ' && c != U'\t' && c != U'\n') || (c >= 0x7f && c < 0xa0);
  const bool turns_direction = (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
  return is_control || turns_direction;
}

// As it is shown.
std::string shape_of(std::string_view bytes, char32_t value, LineFeeds line_feeds) {
  if (value == U'\n' && line_feeds == LineFeeds::kReplaced) return " ";
  if (!steers(value)) return std::string(bytes);
  const auto number = static_cast<std::uint32_t>(value);
  return number < 0x80 ? fmt::format("\\x{:02x}", number) : fmt::format("\\u{:04x}", number);
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit, LineFeeds line_feeds) {
  std::string shown;
  shown.reserve(std::min(text.size(), limit));
  using Utf8 = boost::locale::utf::utf_traits<char>;
  for (const char* at = text.begin(); at != text.end();) {
    const char* const from = at;
    const boost::locale::utf::code_point value = Utf8::decode(at, text.end());
    const bool is_character = boost::locale::utf::is_valid_codepoint(value);
    if (!is_character) at = from + 1;  // byte by byte
    const bool is_line_end = *from == '\r' && (at == text.end() || *at == '\n');
    if (is_line_end) continue;
    const std::string piece = is_character ? shape_of({from, at}, value, line_feeds)
                                           : fmt::format("\\x{:02x}", static_cast<unsigned char>(*from));
    if (piece.size() > limit - shown.size()) return shown + "...";
    shown += piece;
  }
  return shown;
}

}  // namespace sterna
