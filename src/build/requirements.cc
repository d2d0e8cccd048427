#include "build/requirements.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace sterna::build {
namespace {

std::string_view trim(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Without its comment, which begins the line or follows a blank.
std::string_view code_of(std::string_view line) {
  line = trim(line);
  if (line.starts_with('#')) return {};
  return trim(line.substr(0, std::min(line.find(" #"), line.find("\t#"))));
}

std::string_view next_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

bool names_a_file(std::string_view requirement) {
  if (requirement.starts_with('.') || requirement.starts_with('/') || requirement.starts_with("file:"))
    return true;
  const std::size_t slash = requirement.find('/');
  return slash != std::string_view::npos && !requirement.contains("://");
}

// Options that name a file, and whether packages come of it.
constexpr std::pair<std::string_view, bool> kFileOptions[] = {
    {"-r", true},  {"--requirement", true}, {"-e", true},  {"--editable", true},
    {"-c", false}, {"--constraint", false}, {"-f", false}, {"--find-links", false}};

bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
}

std::string normal_name(std::string_view name) {
  std::string normal;
  for (const char c : name) {
    const bool joint = c == '-' || c == '_' || c == '.';
    if (joint && normal.ends_with('-')) continue;
    normal += joint ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return normal;
}

}  // namespace

Requirements read_requirements(std::string_view text) {
  Requirements found;
  bool goes_on = false;
  while (!text.empty()) {
    const std::string_view line = code_of(next_line(text));
    if (line.empty()) continue;
    found.hashes = found.hashes || line.contains("--hash");
    const bool begins = !std::exchange(goes_on, line.ends_with('\\'));
    if (!begins) continue;
    if (!line.starts_with('-')) {
      found.any = true;
      found.local = found.local || names_a_file(line);
      continue;
    }
    for (const auto& [option, installs] : kFileOptions) {
      if (!line.starts_with(option)) continue;
      found.local = true;
      found.any = found.any || installs;
    }
  }
  return found;
}

int line_of_requirement(std::string_view text, std::string_view package) {
  const std::string wanted = normal_name(package);
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = code_of(next_line(text));
    const auto* end = std::ranges::find_if_not(line, is_name);
    if (normal_name({line.begin(), end}) == wanted) return number;
  }
  return 0;
}

}  // namespace sterna::build
