#include "build/requirements.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
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

constexpr std::string_view kArchiveEndings[] = {".whl",     ".zip", ".tar.gz", ".tgz",
                                                ".tar.bz2", ".tar", ".tar.xz"};

bool names_a_file(std::string_view requirement) {
  if (requirement.starts_with('.') || requirement.starts_with('/') || requirement.starts_with("file:"))
    return true;
  const std::size_t slash = requirement.find('/');
  if (requirement.contains("://")) return false;
  const std::string_view word = requirement.substr(0, requirement.find_first_of(" \t;["));
  return slash != std::string_view::npos ||
         std::ranges::any_of(kArchiveEndings, [&](std::string_view end) { return word.ends_with(end); });
}

// Options that name a file, and whether packages come of it.
constexpr std::pair<std::string_view, bool> kFileOptions[] = {
    {"-r", true},  {"--requirement", true}, {"-e", true},  {"--editable", true},
    {"-c", false}, {"--constraint", false}, {"-f", false}, {"--find-links", false}};

// What follows an option: `-e x`, `--editable=x`. Empty: the line is another one.
std::string_view argument_of(std::string_view line, std::string_view option) {
  if (!line.starts_with(option)) return {};
  line.remove_prefix(option.size());
  const bool ends = line.starts_with(' ') || line.starts_with('\t') || line.starts_with('=');
  if (!ends && option.starts_with("--")) return {};  // another option, which begins like this one
  if (ends) line.remove_prefix(1);
  return trim(line);
}

void append_utf8(std::string& text, std::uint32_t point) {
  const auto add = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  if (point < 0x80) return add(point);
  if (point < 0x800) {
    add(0xC0U | (point >> 6U));
  } else if (point < 0x10000) {
    add(0xE0U | (point >> 12U));
    add(0x80U | ((point >> 6U) & 0x3FU));
  } else {
    add(0xF0U | (point >> 18U));
    add(0x80U | ((point >> 12U) & 0x3FU));
    add(0x80U | ((point >> 6U) & 0x3FU));
  }
  add(0x80U | (point & 0x3FU));
}

// `low`: where the lower byte of each pair stands, 0 or 1.
std::string from_utf16(std::string_view bytes, std::size_t low) {
  const auto unit = [&](std::size_t at) {
    return (static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + 1 - low])) << 8U) |
           static_cast<unsigned char>(bytes[at + low]);
  };
  std::string text;
  for (std::size_t at = 0; at + 1 < bytes.size(); at += 2) {
    std::uint32_t point = unit(at);
    const bool pair =
        (point & 0xFC00U) == 0xD800U && at + 3 < bytes.size() && (unit(at + 2) & 0xFC00U) == 0xDC00U;
    if (pair) {
      at += 2;
      point = 0x10000U + ((point & 0x3FFU) << 10U) + (unit(at) & 0x3FFU);
    }
    append_utf8(text, point);
  }
  return text;
}

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

std::string decoded(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) return std::string(bytes.substr(3));
  if (bytes.starts_with("\xFF\xFE")) return from_utf16(bytes.substr(2), 0);
  if (bytes.starts_with("\xFE\xFF")) return from_utf16(bytes.substr(2), 1);
  return std::string(bytes);
}

std::string without_editables(std::string_view text) {
  std::string out;
  bool goes_on = false;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const std::string_view code = code_of(line);
    std::string_view kept = line;
    for (const std::string_view option : {"-e", "--editable"}) {
      const std::string_view wanted = goes_on ? std::string_view() : argument_of(code, option);
      if (!wanted.empty()) kept = wanted;
    }
    goes_on = code.ends_with('\\');
    out.append(kept).append(1, '\n');
  }
  return out;
}

std::vector<std::string> included_files(std::string_view text) {
  std::vector<std::string> files;
  while (!text.empty()) {
    const std::string_view code = code_of(next_line(text));
    for (const std::string_view option : {"-r", "--requirement", "-c", "--constraint"}) {
      if (const auto file = argument_of(code, option); !file.empty()) files.emplace_back(file);
    }
  }
  return files;
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
