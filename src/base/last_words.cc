#include "base/last_words.h"

#include <algorithm>
#include <span>
#include <vector>

namespace sterna {
namespace {

using Lines = std::vector<std::string_view>;

constexpr std::size_t kMaxShown = 500;
constexpr std::string_view kBundle = "/function/";
constexpr std::string_view kDigits = "0123456789";
constexpr std::size_t kNpmMark = 10;  // of "npm error " and an empty line's

Lines lines_of(std::string_view text) {
  Lines lines;
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

bool is_of_the_function(std::string_view path) {
  return path.starts_with(kBundle) && !path.contains("/node_modules/") && !path.contains("-packages/") &&
         !path.contains("/python_packages/");
}

// Of "    at load (/function/a.js:1:9)" or "    at file:///function/a.mjs:1:9": "/function/a.js:1".
std::string place_in_node_frame(std::string_view line) {
  if (!line.starts_with(' ') || !line.substr(line.find_first_not_of(' ')).starts_with("at ")) return {};
  const std::size_t at = line.find(kBundle);
  if (at == std::string_view::npos) return {};
  std::string_view place = line.substr(at, line.find(')', at) - at);
  place = place.substr(0, place.rfind(':'));
  return is_of_the_function(place) && names_a_place(place) ? std::string(place) : std::string();
}

// Of '  File "/function/a.py", line 1, in f': "/function/a.py:1", whosever file it is; empty: it is no such
// line.
std::string place_in_python_frame(std::string_view line) {
  constexpr std::string_view kFile = "File \"";
  constexpr std::string_view kLine = "\", line ";
  const std::size_t begin = line.find_first_not_of(' ');
  if (begin == std::string_view::npos || !line.substr(begin).starts_with(kFile)) return {};
  line.remove_prefix(begin + kFile.size());
  const std::size_t end = line.find(kLine);
  if (end == std::string_view::npos) return {};
  const std::string_view number = line.substr(end + kLine.size());
  return std::string(line.substr(0, end))
      .append(":")
      .append(number.substr(0, number.find_first_not_of(kDigits)));
}

// The innermost place: Node's is the first, Python's the last.
std::string place_of(std::span<const std::string_view> lines) {
  std::string found;
  for (const std::string_view line : lines) {
    if (std::string place = place_in_node_frame(line); !place.empty()) return place;
    if (is_of_the_function(line) && names_a_place(line)) return std::string(line);
    if (std::string place = place_in_python_frame(line); is_of_the_function(place)) found = std::move(place);
  }
  return found;
}

std::string joined(std::string place, std::string_view words) {
  return place.empty() ? std::string(words) : std::move(place.append(": ")).append(words);
}

// `lines` without Node's version.
std::string words_of_node(const Lines& lines) {
  const auto error = std::ranges::find_if(lines, names_an_error);
  if (error == lines.end()) return lines.empty() ? std::string() : std::string(lines.back());
  const auto place = std::find_if(std::make_reverse_iterator(error), lines.rend(), names_a_place);
  return joined(place == lines.rend() ? place_of({error, lines.end()}) : std::string(*place), *error);
}

// What stands below the last place of a trace; empty: there is none, or the program has said something after
// it.
std::string words_of_python(const Lines& lines) {
  const auto frame = std::find_if(lines.rbegin(), lines.rend(), [](std::string_view line) {
                       return !place_in_python_frame(line).empty();
                     }).base();
  const auto error =
      std::find_if(frame, lines.end(), [](std::string_view line) { return !line.starts_with(' '); });
  if (frame == lines.begin() || error == lines.end()) return {};
  const std::string_view last = lines.back();
  if (error + 1 != lines.end() && (last.starts_with("error") || last.starts_with("Error"))) return {};
  // Above it may be the trace of an error that it has come from.
  const auto begin = std::find_if(std::make_reverse_iterator(frame), lines.rend(), [](std::string_view line) {
                       return !line.starts_with(' ');
                     }).base();
  return joined(place_of({begin, error}), *error);
}

// Takes what npm says away. Answers the first line of its errors that tells something.
std::string take_words_of_npm(Lines& lines) {
  std::string words;
  std::erase_if(lines, [&](std::string_view line) {
    const bool error = line.starts_with("npm error") || line.starts_with("npm ERR!");
    if (error && words.empty() && !line.contains(" code ") && line.size() > kNpmMark) words = line;
    return error || line.starts_with("npm warn") || line.starts_with("npm WARN") ||
           line.starts_with("npm notice");
  });
  return words;
}

std::string words_of(Lines lines) {
  std::string npm = take_words_of_npm(lines);
  if (lines.empty()) return npm;
  if (lines.back().starts_with("Node.js v")) {
    lines.pop_back();
    return words_of_node(lines);
  }
  const std::string python = words_of_python(lines);
  return python.empty() ? std::string(lines.back()) : python;
}

}  // namespace

std::string last_words_of(std::string_view printed) {
  std::string words = words_of(lines_of(printed));
  if (words.size() > kMaxShown) words.resize(kMaxShown);
  return words;
}

std::string place_in_trace(std::string_view trace) {
  const Lines lines = lines_of(trace);
  return place_of(lines);
}

}  // namespace sterna
