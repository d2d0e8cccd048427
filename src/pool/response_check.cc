#include "pool/response_check.h"

#include <algorithm>
#include <array>

namespace sterna::pool {
namespace {

constexpr std::array<bool, 256> kTokenChars = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return kTokenChars[static_cast<unsigned char>(c)]; });
}

bool is_field_value(std::string_view text) {
  bool is_bad = false;  // looked at to the end: many bytes in one step
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    is_bad |= (byte < 0x20 && byte != '\t') || byte == 0x7f;
  }
  return !is_bad;
}

std::string check_response(const wire::ResponseHead& head) {
  if (head.status < 200 || head.status > 599) return "the status code is not between 200 and 599";
  if (head.headers.size() > wire::kMaxHeaderBytes) return "the headers are larger than 64 KiB";
  wire::HeaderWalk walk(head.headers, head.header_count);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) {
    if (!is_token(name)) return "a header's name is not a token";
    if (!is_field_value(value))
      return "the value of header " + std::string(name) + " holds control characters";
  }
  return walk.ok() ? "" : "the headers are malformed";
}

}  // namespace sterna::pool
