#include "api/base64.h"

#include <openssl/evp.h>

#include <algorithm>
#include <climits>

namespace sterna::api {
namespace {

std::unexpected<Error> bad_base64(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_base64", std::move(detail));
}

bool is_base64_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

}  // namespace

std::string base64_encode(std::string_view bytes) {
  STERNA_ASSERT(bytes.size() <= INT_MAX / 2);
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP writes a terminator
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

Result<std::string> base64_decode(std::string_view text) {
  if (text.empty()) return std::string();
  if (text.size() > INT_MAX) return bad_base64("too long");
  if (text.size() % 4 != 0) return bad_base64("base64 (RFC 4648) comes in groups of four characters");
  const std::size_t padding = text.ends_with("==") ? 2 : (text.ends_with('=') ? 1 : 0);
  const std::string_view digits = text.substr(0, text.size() - padding);
  // EVP_DecodeBlock alone would let white space and early padding pass.
  if (const auto wrong = std::ranges::find_if_not(digits, is_base64_char); wrong != digits.end()) {
    return bad_base64("not a base64 (RFC 4648) character at offset " +
                      std::to_string(wrong - digits.begin()));
  }
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (length < 0) return bad_base64("not base64 (RFC 4648)");
  bytes.resize(static_cast<std::size_t>(length) - padding);
  if (padding > 0 && base64_encode(std::string_view(bytes).substr((bytes.size() - 1) / 3 * 3)) !=
                         text.substr(text.size() - 4)) {
    return bad_base64("the last group has stray bits");
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
