#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>

namespace sterna {
namespace {

// A character of UTF-8 at the start of `text`; `bytes` is 0 when there is none.
struct Character {
  char32_t value = 0;
  std::size_t bytes = 0;
};

Character first_character(std::string_view text) {
  constexpr unsigned kContinuationBits = 6;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {.value = lead, .bytes = 1};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  auto value = static_cast<char32_t>(lead & (0x7fU >> bytes));
  for (std::size_t at = 1; at < bytes; ++at) {
    if ((byte(at) & 0xc0U) != 0x80U) return {};
    value = (value << kContinuationBits) | (byte(at) & 0x3fU);
  }
  return {.value = value, .bytes = bytes};
}

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
  while (!text.empty()) {
    const Character character = first_character(text);
    const bool is_line_end = text == "\r" || text.starts_with("\r\n");
    const std::size_t bytes = std::max<std::size_t>(character.bytes, 1);
    const std::string_view from = text.substr(0, bytes);
    text.remove_prefix(bytes);
    if (is_line_end) continue;
    const std::string piece = character.bytes == 0
                                  ? fmt::format("\\x{:02x}", static_cast<unsigned char>(from.front()))
                                  : shape_of(from, character.value, line_feeds);
    if (piece.size() > limit - shown.size()) return shown + "...";
    shown += piece;
  }
  return shown;
}

}  // namespace sterna
