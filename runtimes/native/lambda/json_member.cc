#include "native/lambda/json_member.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "worker/log_lines.h"

namespace sterna::native {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// The offset of the quote that ends the string which begins before `at`. Every byte is looked at once, mostly
// by memchr.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  std::size_t quote = text.find('"', at);
  while (quote != std::string_view::npos) {
    const std::size_t backslash = text.substr(0, quote).find('\\', at);
    if (backslash == std::string_view::npos) return quote;
    at = backslash + 2;
    if (at > quote) quote = text.find('"', at);
  }
  return quote;
}

std::size_t skip(std::string_view text, std::size_t at, char expected) {
  at = text.find_first_not_of(kSpace, at);
  return at != std::string_view::npos && text[at] == expected ? at + 1 : std::string_view::npos;
}

bool has_control(std::string_view text) {
  unsigned found = 0;  // without a way out, so that it is vectorised
  for (const char c : text) found |= static_cast<unsigned>(static_cast<unsigned char>(c) < 0x20);
  return found != 0;
}

}  // namespace

std::optional<std::string_view> find_string_member(std::string_view object, std::string_view name) {
  std::size_t depth = 0;
  for (std::size_t at = object.find_first_of("\"{}[]"); at != std::string_view::npos;
       at = object.find_first_of("\"{}[]", at)) {
    const char c = object[at++];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c != '"') continue;
    const std::size_t end = end_of_string(object, at);
    if (end == std::string_view::npos) return std::nullopt;
    const bool is_name = depth == 1 && object.substr(at, end - at) == name;
    at = end + 1;
    const std::size_t colon = is_name ? skip(object, at, ':') : std::string_view::npos;
    const std::size_t begin = colon == std::string_view::npos ? colon : skip(object, colon, '"');
    if (begin == std::string_view::npos) continue;
    const std::size_t close = end_of_string(object, begin);
    return close == std::string_view::npos ? std::nullopt
                                           : std::optional(object.substr(begin, close - begin));
  }
  return std::nullopt;
}

Result<std::string> unescape_json(std::string_view raw) {
  if (raw.contains('\\')) {
    auto text = nlohmann::json::parse(std::string("\"").append(raw).append("\""), nullptr, false);
    if (text.is_string()) return std::move(text.get_ref<std::string&>());
  } else if (!has_control(raw) && worker::is_valid_utf8(raw)) {
    return std::string(raw);
  }
  return fail(Code::kInvalid, Component::kFunction, "bad_json", "not a JSON string");
}

}  // namespace sterna::native
