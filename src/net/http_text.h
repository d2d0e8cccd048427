// What HTTP's messages are made of (RFC 9110 5, RFC 9112 5): characters, tokens, lines.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sterna::net {

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool equal_ignoring_case(std::string_view a, std::string_view b);

// Orders texts without regard to the case of their letters.
struct LessIgnoringCase {
  bool operator()(std::string_view a, std::string_view b) const;
};

// Without the spaces and tabs at both ends (OWS of RFC 9110 5.6.3).
std::string_view without_blanks(std::string_view text);

// What Content-Length says: digits alone that 64 bits can hold (RFC 9110 8.6).
std::optional<std::uint64_t> content_length(std::string_view value);

// A set of characters that costs one look-up each.
class CharSet {
 public:
  constexpr explicit CharSet(std::string_view chars) {
    for (const char c : chars) is_in_[static_cast<unsigned char>(c)] = true;
  }
  constexpr bool has(char c) const { return is_in_[static_cast<unsigned char>(c)]; }
  // How many characters at the front of `text` are in the set.
  constexpr std::size_t span(std::string_view text) const {
    std::size_t count = 0;
    while (count < text.size() && has(text[count])) ++count;
    return count;
  }
  constexpr bool holds_all(std::string_view text) const { return span(text) == text.size(); }

 private:
  std::array<bool, 256> is_in_{};
};

inline constexpr CharSet kTokenChars(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

constexpr bool is_token(std::string_view text) {
  return !text.empty() && kTokenChars.holds_all(text);
}

// Without control characters, tabs excepted (RFC 9110 5.5); may be empty.
bool is_field_value(std::string_view text);

// Without spaces and control characters: what a request target is made of, more or less.
bool is_visible(std::string_view text);

}  // namespace sterna::net
