#include "net/http_text.h"

#include <algorithm>
#include <cstring>
#include <system_error>

#include "base/number.h"

namespace sterna::net {
namespace {

constexpr std::uint64_t kEach = 0x0101010101010101;  // times a byte: eight of it
constexpr std::uint64_t kHighBits = 0x80 * kEach;
constexpr unsigned char kDelete = 0x7f;

std::uint64_t load(const char* at) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, at, sizeof bytes);
  return bytes;
}

// Whether one of eight bytes is below `least`, or DEL.
template <unsigned char least>
bool holds_control(std::uint64_t bytes) {
  const std::uint64_t low = (bytes - least * kEach) & ~bytes;
  const std::uint64_t differs = bytes ^ (kDelete * kEach);
  const std::uint64_t is_delete = (differs - kEach) & ~differs;
  return ((low | is_delete) & kHighBits) != 0;
}

// The same for a text of any length; eight bytes in one step.
template <unsigned char least>
bool holds_control(std::string_view text) {
  constexpr std::size_t kStep = sizeof(std::uint64_t);
  if (text.size() < kStep) {
    return std::ranges::any_of(text, [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte < least || byte == kDelete;
    });
  }
  const char* const last = text.data() + text.size() - kStep;
  for (const char* at = text.data(); at < last; at += kStep) {
    if (holds_control<least>(load(at))) return true;
  }
  return holds_control<least>(load(last));
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return x == y || lower(x) == lower(y); });
}

bool LessIgnoringCase::operator()(std::string_view a, std::string_view b) const {
  return std::ranges::lexicographical_compare(a, b, {}, lower, lower);
}

std::string_view without_blanks(std::string_view text) {
  constexpr auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> content_length(std::string_view value) {
  return parse_number<std::uint64_t>(value);
}

bool is_field_value(std::string_view text) {
  if (!holds_control<' '>(text)) return true;
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= ' ' && byte != kDelete);
  });
}

bool is_visible(std::string_view text) {
  return !holds_control<'!'>(text);
}

}  // namespace sterna::net
