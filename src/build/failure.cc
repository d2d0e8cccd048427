#include "build/failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/last_words.h"
#include "build/requirements.h"

namespace sterna::build {
namespace {

using Lines = std::vector<std::string_view>;

constexpr std::size_t kMaxReason = 600;

Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

std::string_view first_with(const Lines& lines, std::string_view part) {
  const auto found = std::ranges::find_if(lines, [&](std::string_view line) { return line.contains(part); });
  return found == lines.end() ? std::string_view() : *found;
}

// What stands after `mark` in the line; nothing when it is not there.
std::string_view after(std::string_view line, std::string_view mark) {
  const std::size_t at = line.find(mark);
  return at == std::string_view::npos ? std::string_view() : line.substr(at + mark.size());
}

// "src/a.ts:2:18" of "    src/a.ts:2:18:"; empty: the line says something else, or more.
std::string_view place_alone(std::string_view line) {
  while (line.starts_with(' ')) line.remove_prefix(1);
  while (line.ends_with(':')) line.remove_suffix(1);
  const std::size_t colon = line.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == line.size() || line.contains(' ')) return {};
  return line.find_first_not_of("0123456789", colon + 1) == std::string_view::npos ? line
                                                                                   : std::string_view();
}

// --- C++ ---

// Of an error in a header of the machine: the place in the code that leads there, as the compiler tells it.
std::string_view place_of_use(const Lines& lines, std::string_view error) {
  const auto at =
      std::ranges::find_if(lines, [&](std::string_view line) { return line.data() == error.data(); });
  const auto is_use = [](std::string_view line) {
    return !line.starts_with('/') &&
           (line.ends_with("required from here") || line.ends_with("requested here"));
  };
  const auto is_error = [](std::string_view line) { return line.contains(": error: "); };
  // g++ tells it before the error, clang after it.
  auto use = std::find_if(std::make_reverse_iterator(at), lines.rend(),
                          [&](std::string_view line) { return is_use(line) || is_error(line); });
  if (use != lines.rend() && is_use(*use)) return use->substr(0, use->find(": "));
  const auto after = std::find_if(at + 1, lines.end(),
                                  [&](std::string_view line) { return is_use(line) || is_error(line); });
  return after != lines.end() && is_use(*after) ? after->substr(0, after->find(": ")) : std::string_view();
}

std::string cpp_reason(const Recipe& recipe, const Lines& lines) {
  std::string reason;
  // A linker's complaint comes before the compiler's own, that the linker has failed.
  for (const std::string_view mark : {"undefined reference to", ": fatal error: ", ": error: ", "error: "}) {
    const std::string_view error = first_with(lines, mark);
    if (error.empty()) continue;
    const std::string_view use = error.starts_with('/') ? place_of_use(lines, error) : std::string_view();
    reason = use.empty() ? std::string(error) : fmt::format("{}: {}", use, error);
    break;
  }
  const bool undefined = reason.contains("undefined reference to") || reason.contains("undefined symbol: ");
  // What function.h calls, and every handler has to define.
  constexpr std::string_view kHandle = "handle(sterna::Request const&)";
  if (undefined &&
      (reason.contains(fmt::format("`{}", kHandle)) || reason.ends_with(fmt::format(": {}", kHandle))))
    return "handler.cc defines no `sterna::Response handle(const sterna::Request& request)`: define it, "
           "outside "
           "of any namespace";
  if (undefined && recipe.what.contains(", without "))
    reason += fmt::format("; built{}", after(recipe.what, ","));
  return reason;
}

// --- pip ---

std::string_view content_of(const Recipe& recipe, std::string_view path) {
  const auto found = std::ranges::find(recipe.inputs, path, &bundle::File::path);
  return found == recipe.inputs.end() ? std::string_view() : std::string_view(found->content);
}

std::string place_of_requirement(const Recipe& recipe, std::string_view requirement) {
  const auto end = requirement.find_first_of("=<>!~ ;[(@");
  const int line = line_of_requirement(content_of(recipe, "requirements.txt"), requirement.substr(0, end));
  return line == 0 ? "requirements.txt" : fmt::format("requirements.txt, line {}", line);
}

// The argument after that word of the command; empty when it is not there.
std::string_view option_of(const Recipe& recipe, std::string_view word) {
  const auto found = std::ranges::find(recipe.argv, word);
  return found == recipe.argv.end() || found + 1 == recipe.argv.end() ? std::string_view() : *(found + 1);
}

// pip goes on without an index that it cannot reach, and then blames the package.
std::string unreachable_index(const Recipe& recipe, const Lines& lines) {
  const auto given_up = std::ranges::find_if(lines, [](std::string_view line) {
    return line.contains("Retry(total=0") && line.contains("connection broken");
  });
  if (given_up == lines.end()) return {};
  std::string_view why = after(*given_up, "Failed to establish a new connection: ");
  why = why.substr(0, why.find('\''));
  if (why.starts_with("[Errno ")) why.remove_prefix(std::min(why.size(), why.find("] ") + 2));
  const bool names_nothing = why.empty() || given_up->contains("imeoutError");
  const std::string_view index = option_of(recipe, "--index-url");
  return fmt::format(
      "requirements.txt: the package index {} cannot be reached ({}); the administrator sets "
      "build.pip_index_url to "
      "one that can, opens a private one with egress_private, or gives wheels with build.wheels_dir and "
      "build.offline; wheels in the code's wheels/ do too",
      index.empty() ? "of pip's own settings" : index, names_nothing ? "no answer in time" : why);
}

std::string_view trimmed(std::string_view line) {
  while (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

// "The conflict is caused by:", the requirements, one a line, and advice.
std::string contradiction(const Lines& lines) {
  const auto is = [](std::string_view begin) {
    return [begin](std::string_view line) { return line.starts_with(begin); };
  };
  auto line = std::ranges::find_if(lines, is("The conflict is caused by"));
  if (line == lines.end()) return {};
  std::string reason = "requirements.txt: these cannot be installed together: ";
  const char* joint = "";
  for (++line; line != lines.end() && line->starts_with(' '); ++line) {
    reason.append(std::exchange(joint, "; ")).append(trimmed(*line));
  }
  return reason;
}

// A program that pip has started says what is wrong before pip's own lines.
std::string failed_program(const Lines& lines) {
  if (first_with(lines, "error: subprocess-exited-with-error").empty()) return {};
  std::string_view what = after(first_with(lines, " did not run successfully"), "\u00d7 ");
  what = what.substr(0, what.find(" did not run successfully"));
  std::string_view why = first_with(lines, "fatal: ");
  for (const std::string_view mark : {": fatal error: ", ": error: "}) {  // a compiler's, with its place
    if (why.empty()) why = first_with(lines, mark);
  }
  const auto end =
      std::ranges::find_if(lines, [](std::string_view line) { return line.contains("[end of output]"); });
  if (why.empty() && end != lines.end() && end != lines.begin()) why = *(end - 1);
  why = trimmed(why);
  if (why.empty() || what.empty()) return {};
  return fmt::format("requirements.txt: {}: {}", what, why);
}

std::string pip_reason(const Recipe& recipe, const Lines& lines) {
  if (!first_with(lines, "No module named pip").empty()) {
    return fmt::format("{} has no pip; install python3-pip on the server", recipe.argv.front());
  }
  if (const auto missing = after(first_with(lines, "ERROR: No matching distribution"), " for ");
      !missing.empty()) {
    if (std::string unreachable = unreachable_index(recipe, lines); !unreachable.empty()) return unreachable;
    const bool offline = recipe.network == Network::kNone;
    return fmt::format(
        "{}: there is no {} for this Python{}; correct name and version, or put a wheel of it into wheels/",
        place_of_requirement(recipe, missing), missing, offline ? " (builds are offline)" : "");
  }
  if (!first_with(lines, "DO NOT MATCH THE HASHES").empty()) {
    std::string_view package = first_with(lines, " (from -r requirements.txt");
    while (package.starts_with(' ')) package.remove_prefix(1);
    const std::string name(package.substr(0, package.find(' ')));
    return fmt::format(
        "{}: what was found for {} has another hash than is written there; correct it if you trust the "
        "package",
        place_of_requirement(recipe, name), name.empty() ? "a package" : name);
  }
  if (!first_with(lines, "In --require-hashes mode").empty()) {
    return "requirements.txt: with a --hash anywhere, every package needs `==` and its --hash, those that "
           "others "
           "depend on too; `pip-compile --generate-hashes` writes such a file";
  }
  if (const auto wrong = after(first_with(lines, "ERROR: Invalid requirement:"), "ERROR: "); !wrong.empty()) {
    return fmt::format("requirements.txt: {}; correct the line", wrong);
  }
  if (std::string reason = contradiction(lines); !reason.empty()) return reason;
  if (std::string reason = failed_program(lines); !reason.empty()) return reason;
  std::string_view last;
  for (const std::string_view line : lines) {
    if (line.starts_with("ERROR: ")) last = line.substr(7);
  }
  return last.empty() ? std::string() : fmt::format("requirements.txt: {}", last);
}

// --- npm ---

// Without the marks before an error; there are two of an npm that another npm has started. Empty: no error.
std::string_view npm_error(std::string_view line) {
  constexpr std::string_view kMarks[] = {"npm error", "npm ERR!"};
  std::string_view text = line;
  bool marked = false;
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view mark : kMarks) {
      if (!text.starts_with(mark)) continue;
      text.remove_prefix(mark.size());
      while (text.starts_with(' ')) text.remove_prefix(1);
      again = marked = true;
    }
  }
  return marked ? text : std::string_view();
}

std::string_view registry_of(const Recipe& recipe) {
  constexpr std::string_view kOption = "--registry=";
  const auto found =
      std::ranges::find_if(recipe.argv, [&](std::string_view word) { return word.starts_with(kOption); });
  return found == recipe.argv.end() ? std::string_view("npm's own")
                                    : std::string_view(*found).substr(kOption.size());
}

bool is_unreachable(std::string_view code) {
  constexpr std::string_view kCodes[] = {"ENOTFOUND",   "EAI_AGAIN",          "EHOSTUNREACH",
                                         "ENETUNREACH", "ECONNREFUSED",       "ECONNRESET",
                                         "ETIMEDOUT",   "ERR_SOCKET_TIMEOUT", "FETCH_ERROR"};
  return std::ranges::find(kCodes, code) != std::end(kCodes);
}

// "node_modules/x/package.json": of the package whose script it was, as npm's errors tell.
std::string manifest_of(const Lines& lines) {
  constexpr std::string_view kFolder = "/function/";
  for (const std::string_view line : lines) {
    std::string_view path = npm_error(line);
    if (!path.starts_with("path ")) continue;
    path.remove_prefix(5);
    return path.starts_with(kFolder) ? fmt::format("{}/package.json", path.substr(kFolder.size()))
                                     : "package.json";
  }
  return "package.json";
}

// Tools that bundle and compile say what is wrong in one line and where in one of the next.
std::string with_place(const Lines& lines, std::size_t at) {
  constexpr std::string_view kMark = "[ERROR] ";  // of esbuild
  std::string_view words = lines[at];
  if (words.contains(kMark)) words = after(words, kMark);
  for (std::size_t next = at + 1; next < std::min(at + 4, lines.size()); ++next) {
    if (const std::string_view place = place_alone(lines[next]); !place.empty())
      return fmt::format("{}: {}", place, words);
  }
  return std::string(words);
}

// A script's own words stand between its announcement, "> command", and npm's errors. The first that speaks
// of an error tells most, else the last that belongs to no list of calls.
std::string words_of_script(const Lines& lines) {
  const auto end =
      std::ranges::find_if(lines, [](std::string_view line) { return !npm_error(line).empty(); });
  auto begin = end;
  while (begin != lines.begin() && !(begin - 1)->starts_with("> ")) --begin;
  const Lines said(begin, end);
  std::string text;
  for (const std::string_view line : said) text.append(line).append("\n");
  const bool is_ended = !said.empty() && said.back().starts_with("Node.js v");
  if (is_ended || text.contains("Traceback (most recent call last)")) return last_words_of(text);
  std::string_view last;
  for (std::size_t at = 0; at < said.size(); ++at) {
    const std::string_view line = said[at];
    if (line == "error during build:" && at + 1 < said.size()) return std::string(said[at + 1]);  // of vite
    if (line.contains("rror:") || line.contains("[ERROR]") || line.contains("not found"))
      return with_place(said, at);
    if (!line.starts_with(' ')) last = line;
  }
  return std::string(last);
}

// Whether a tool is missing that is not installed because only development needs it.
bool is_left_out(const Recipe& recipe, std::string_view manifest, std::string_view why) {
  const bool missing = why.ends_with(": not found") || why.contains("Cannot find module '") ||
                       why.contains("Cannot find package '");
  return missing && content_of(recipe, manifest).contains("\"devDependencies\"");
}

// Empty: it was not a script that failed.
std::string failed_script(const Recipe& recipe, const Lines& lines) {
  const std::string_view command = after(first_with(lines, "command sh -c "), "command sh -c ");
  const std::string why = words_of_script(lines);
  if (command.empty() || why.empty()) return {};
  const std::string manifest = manifest_of(lines);
  const bool left_out = is_left_out(recipe, manifest, why);
  return fmt::format(
      "{}: the script `{}` failed: {}{}", manifest, command, why,
      left_out ? "; devDependencies are not installed: what the script needs belongs into dependencies" : "");
}

std::string npm_reason(const Recipe& recipe, const Lines& lines) {
  if (std::string reason = failed_script(recipe, lines); !reason.empty()) return reason;
  std::string told;
  std::string code;
  for (const std::string_view line : lines) {
    std::string_view text = npm_error(line);
    if (text.starts_with("code ")) code = text.substr(5);
    // "404 Not Found", "404  'x@1' is not in this registry."
    if (!code.empty() && text.starts_with(std::string_view(code).substr(1)))
      text.remove_prefix(code.size() - 1);
    while (text.starts_with(' ')) text.remove_prefix(1);
    const bool says = !text.empty() && !text.starts_with("code ") && !text.starts_with("A complete log") &&
                      !text.starts_with("Log files") && !text.starts_with("errno ") &&
                      !text.starts_with("path ");
    if (!says || told.size() > kMaxReason / 2) continue;
    told.append(told.empty() ? "" : "; ").append(text);
  }
  if (code == "EUSAGE" && told.contains("in sync")) {
    return "package.json and package-lock.json do not go together; run `npm install` in the folder and "
           "deploy again";
  }
  if (is_unreachable(code)) {
    return fmt::format(
        "package.json: the registry {} cannot be reached ({}); the administrator sets build.npm_registry to "
        "one that "
        "can, or opens a private one with egress_private; with build.offline, deploy node_modules along",
        registry_of(recipe), code);
  }
  if (code == "ENOTCACHED")
    return "package.json: builds are offline on this server; deploy node_modules along";
  if (code == "E404" || code == "ETARGET") {
    return fmt::format("package.json: {}; correct name and version", told);
  }
  return told.empty() ? std::string() : "package.json: " + told;
}

std::string tool_reason(const Recipe& recipe, const Lines& lines) {
  switch (recipe.kind) {
    case api::BuildKind::kPython:
      return pip_reason(recipe, lines);
    case api::BuildKind::kNode:
      return npm_reason(recipe, lines);
    default:
      return cpp_reason(recipe, lines);
  }
}

// Without what makes colours on a terminal: ESC, '[', numbers, a letter.
std::string without_colours(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const std::size_t begin = std::min(text.find("\x1b["), text.size());
    plain.append(text.substr(0, begin));
    text.remove_prefix(std::min(begin + 2, text.size()));
    text.remove_prefix(std::min(text.find_first_not_of("0123456789;"), text.size()));
    if (!text.empty() && text.front() >= '@' && text.front() <= '~') text.remove_prefix(1);
  }
  return plain;
}

}  // namespace

std::string failure_reason(const Recipe& recipe, std::string_view output, std::string_view end) {
  const std::string plain = without_colours(output);
  const Lines lines = lines_of(plain);
  std::string reason = tool_reason(recipe, lines);
  if (reason.empty()) {
    std::string_view last = lines.empty() ? std::string_view() : lines.back();
    if (const std::string_view told = npm_error(last); !told.empty()) last = told;
    reason = last.empty() ? std::string(end) : fmt::format("{} ({})", last, end);
  }
  if (reason.size() > kMaxReason) {
    std::size_t keep = kMaxReason;
    while (keep > 0 && (static_cast<unsigned char>(reason[keep]) & 0xC0U) == 0x80U) --keep;
    reason.resize(keep);
    reason += "...";
  }
  return reason;
}

}  // namespace sterna::build
