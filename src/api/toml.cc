#include "api/toml.h"

#include <algorithm>
#include <optional>
#include <string>

namespace sterna::api {
namespace {

std::unexpected<Error> bad_toml(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_toml", std::move(detail));
}

// What stands at `at` and may hold any character: a string or a comment; empty: neither. A quote within a
// word begins no string.
std::string_view free_text(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at);
  constexpr std::string_view kQuotes[] = {"\"\"\"", "'''", "\"", "'"};
  if (rest.starts_with('#')) return rest.substr(0, rest.find('\n'));
  if (at > 0 && std::string_view(" \t\r\n,.=[{").find(text[at - 1]) == std::string_view::npos) return {};
  for (const std::string_view quote : kQuotes) {
    if (!rest.starts_with(quote)) continue;
    for (std::size_t end = quote.size(); end < rest.size(); ++end) {
      if (rest.substr(end).starts_with(quote)) return rest.substr(0, end + quote.size());
      if (rest[end] == '\n' && quote.size() == 1) return rest.substr(0, end);
      if (rest[end] == '\\' && quote.front() == '"') ++end;
    }
    return rest;
  }
  return {};
}

// The line of the first character beyond ASCII that stands neither in a string nor in a comment, as far as
// that can be told without reading TOML.
std::optional<std::ptrdiff_t> line_of_stray_character(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  std::size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) >= 0x80) return 1 + std::ranges::count(text.substr(0, at), '\n');
    at += std::max<std::size_t>(1, free_text(text, at).size());
  }
  return std::nullopt;
}

}  // namespace

Result<toml::table> parse_toml(std::string_view text, std::string_view place) {
  if (const auto line = line_of_stray_character(text)) {
    return bad_toml(std::string(place) + " line " + std::to_string(*line) +
                    ": letters beyond ASCII must stand in quotes");
  }
  try {
    auto parsed = toml::parse(text);
    if (parsed) return std::move(parsed).table();
    const toml::parse_error& error = parsed.error();
    return bad_toml(std::string(place) + " line " + std::to_string(error.source().begin.line) + ": " +
                    std::string(error.description()));
  } catch (const std::logic_error&) {
    return bad_toml(std::string(place) + ": a table or key has a name that cannot be read");
  }
}

}  // namespace sterna::api
