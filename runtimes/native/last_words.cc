#include "native/last_words.h"

#include <algorithm>
#include <vector>

namespace sterna::native {
namespace {

constexpr std::size_t kMaxShown = 500;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) lines.push_back(line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

// "SyntaxError: ...", "Error [ERR_MODULE_NOT_FOUND]: ...", "TypeError"
bool names_an_error(std::string_view line) {
  const std::string_view name = line.substr(0, line.find_first_of(" :"));
  const bool is_word = std::ranges::all_of(name, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  });
  return is_word && (name.ends_with("Error") || name.ends_with("Exception"));
}

// "/function/a.js:1", but no place inside of Node.
bool names_a_place(std::string_view line) {
  const std::size_t colon = line.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == line.size()) return false;
  const bool is_number =
      std::ranges::all_of(line.substr(colon + 1), [](char c) { return c >= '0' && c <= '9'; });
  return is_number && (line.starts_with('/') || line.starts_with("file://"));
}

// `lines` without Node's version.
std::string words_of_node(const std::vector<std::string_view>& lines) {
  const auto error = std::ranges::find_if(lines, names_an_error);
  if (error == lines.end()) return lines.empty() ? std::string() : std::string(lines.back());
  const auto place = std::find_if(std::make_reverse_iterator(error), lines.rend(), names_a_place);
  if (place == lines.rend()) return std::string(*error);
  return std::string(*place).append(": ").append(*error);
}

}  // namespace

std::string last_words_of(std::string_view printed) {
  std::vector<std::string_view> lines = lines_of(printed);
  if (lines.empty()) return {};
  std::string words(lines.back());
  if (words.starts_with("Node.js v")) {
    lines.pop_back();
    words = words_of_node(lines);
  }
  if (words.size() > kMaxShown) words.resize(kMaxShown);
  return words;
}

}  // namespace sterna::native
