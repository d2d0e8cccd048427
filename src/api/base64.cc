#include "api/base64.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace sterna::api {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNoDigit = 0xFF;

constexpr std::array<std::uint8_t, 256> kValues = [] {
  std::array<std::uint8_t, 256> table{};
  table.fill(kNoDigit);
  for (std::size_t i = 0; i < kDigits.size(); ++i) {
    table[static_cast<unsigned char>(kDigits[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}();

std::unexpected<Error> bad_base64(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_base64", std::move(detail));
}

bool is_base64_char(char c) {
  return kValues[static_cast<unsigned char>(c)] != kNoDigit;
}

std::uint32_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

std::uint32_t value_at(std::string_view text, std::size_t at) {
  return kValues[static_cast<unsigned char>(text[at])];
}

void write_group(char* out, std::uint32_t bits) {
  for (int digit = 0; digit < 4; ++digit) out[digit] = kDigits[(bits >> (18 - 6 * digit)) & 63U];
}

}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
  const std::size_t begin = out.size();
  out.resize(begin + (bytes.size() + 2) / 3 * 4);
  char* to = out.data() + begin;
  std::size_t at = 0;
  for (; at + 3 <= bytes.size(); at += 3, to += 4) {
    write_group(to, byte_at(bytes, at) << 16U | byte_at(bytes, at + 1) << 8U | byte_at(bytes, at + 2));
  }
  const std::size_t left = bytes.size() - at;
  if (left == 0) return;
  write_group(to, byte_at(bytes, at) << 16U | (left == 2 ? byte_at(bytes, at + 1) << 8U : 0U));
  to[3] = '=';
  if (left == 1) to[2] = '=';
}

std::string base64_encode(std::string_view bytes) {
  std::string text;
  append_base64(text, bytes);
  return text;
}

Result<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return bad_base64("base64 (RFC 4648) comes in groups of four characters");
  const std::size_t padding = text.ends_with("==") ? 2 : (text.ends_with('=') ? 1 : 0);
  const std::string_view digits = text.substr(0, text.size() - padding);
  std::string bytes(digits.size() * 3 / 4, '\0');
  char* to = bytes.data();
  std::size_t at = 0;
  std::uint32_t seen = 0;  // all values together: one that is none shows in the upper bits
  for (; at + 4 <= digits.size(); at += 4) {
    const std::uint32_t one = value_at(digits, at);
    const std::uint32_t two = value_at(digits, at + 1);
    const std::uint32_t three = value_at(digits, at + 2);
    const std::uint32_t four = value_at(digits, at + 3);
    seen |= one | two | three | four;
    const std::uint32_t bits = one << 18U | two << 12U | three << 6U | four;
    *to++ = static_cast<char>(bits >> 16U);
    *to++ = static_cast<char>(bits >> 8U);
    *to++ = static_cast<char>(bits);
  }
  std::uint32_t bits = 0;
  for (std::size_t i = at; i < digits.size(); ++i) {
    seen |= value_at(digits, i);
    bits = bits << 6U | value_at(digits, i);
  }
  if (seen > 63) {
    const auto wrong = std::ranges::find_if_not(digits, is_base64_char);
    return bad_base64("not a base64 (RFC 4648) character at offset " +
                      std::to_string(wrong - digits.begin()));
  }
  const std::uint32_t stray = padding == 2 ? 15U : 3U;
  if (padding > 0 && (bits & stray) != 0) return bad_base64("the last group has stray bits");
  if (padding == 2) *to = static_cast<char>(bits >> 4U);
  if (padding == 1) {
    *to++ = static_cast<char>(bits >> 10U);
    *to = static_cast<char>(bits >> 2U);
  }
  return bytes;
}

std::string base64url_encode(std::string_view bytes) {
  std::string text = base64_encode(bytes);
  while (text.ends_with('=')) text.pop_back();
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return text;
}

Result<std::string> base64url_decode(std::string_view text) {
  if (text.find_first_of("+/=") != std::string_view::npos)
    return bad_base64("not URL-safe base64 (RFC 4648)");
  std::string standard(text);
  std::ranges::replace(standard, '-', '+');
  std::ranges::replace(standard, '_', '/');
  standard.append((4 - standard.size() % 4) % 4, '=');
  return base64_decode(standard);
}

}  // namespace sterna::api
