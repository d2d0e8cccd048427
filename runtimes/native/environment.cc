#include "native/environment.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sterna::native {
namespace {

constexpr std::string_view kPath = "/usr/local/bin:/usr/bin:/bin";

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::size_t word_length(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::find_if_not(text, is_word) - text.begin());
}

bool is_program(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return false;
  if (S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    return false;
  }
  return ::access(path.c_str(), X_OK) == 0;
}

std::unexpected<Error> unknown_variable(std::string_view name) {
  return fail(
      Code::kInvalid, Component::kFunction, "command_unusable",
      fmt::format("command: there is no variable ${0}: set it in env, or write $${0} where the dollar "
                  "is meant, as for a shell",
                  name));
}

std::unexpected<Error> missing(const std::string& detail) {
  return fail(Code::kInvalid, Component::kFunction, "command_missing", detail);
}

}  // namespace

Environment::Environment(const Init& init) {
  set("PATH", kPath);
  set("HOME", "/tmp");
  set("LANG", "C.UTF-8");
  for (const auto& [name, value] : init.env) set(name, value);
  set("STERNA_SPACE", init.space);
  set("STERNA_FUNCTION", init.function);
  set("STERNA_VERSION", std::to_string(init.version));
  set("STERNA_INSTANCE", init.instance);
}

void Environment::set(std::string_view name, std::string_view value) {
  std::string entry = std::string(name).append("=");
  const auto found =
      std::ranges::find_if(entries_, [&](const std::string& each) { return each.starts_with(entry); });
  entry.append(value);
  if (found == entries_.end()) {
    entries_.push_back(std::move(entry));
  } else {
    *found = std::move(entry);
  }
}

void Environment::set_default(std::string_view name, std::string_view value) {
  const bool is_there = std::ranges::any_of(entries_, [&](const std::string& each) {
    return each.size() > name.size() && each.starts_with(name) && each[name.size()] == '=';
  });
  if (!is_there) set(name, value);
}

std::optional<std::string_view> Environment::find(std::string_view name) const {
  for (const std::string& entry : entries_) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
      return std::string_view(entry).substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

std::string_view Environment::get(std::string_view name) const {
  return find(name).value_or(std::string_view());
}

Result<std::string> Environment::expand(std::string_view word) const {
  std::string out;
  while (!word.empty()) {
    const std::size_t dollar = std::min(word.find('$'), word.size());
    out.append(word.substr(0, dollar));
    word.remove_prefix(dollar);
    if (word.empty()) break;
    word.remove_prefix(1);
    const bool braced = word.starts_with('{');
    const std::string_view name = word.substr(braced ? 1 : 0, word_length(word.substr(braced ? 1 : 0)));
    const bool closed = braced && word.substr(1 + name.size()).starts_with('}');
    if (!name.empty() && (closed || !braced)) {
      const auto value = find(name);
      if (!value) return unknown_variable(word.substr(0, name.size() + (braced ? 2 : 0)));
      out.append(*value);
      word.remove_prefix(name.size() + (braced ? 2 : 0));
    } else {
      out.push_back('$');
      if (word.starts_with('$')) word.remove_prefix(1);
    }
  }
  return out;
}

std::vector<char*> Environment::pointers() const {
  std::vector<char*> out;
  out.reserve(entries_.size() + 1);
  for (const std::string& entry : entries_) out.push_back(const_cast<char*>(entry.c_str()));
  out.push_back(nullptr);
  return out;
}

Result<std::string> find_program(const std::string& name, const Environment& environment) {
  if (name.contains('/')) {
    if (is_program(name)) return name;
    if (errno == EACCES) {
      return missing(
          fmt::format("{} is not executable: give it its executable bit, and when it is a script, a "
                      "first line such as #!/bin/sh",
                      name));
    }
    if (errno == EISDIR) return missing(fmt::format("{} is a folder: name the program in it", name));
    return missing(
        fmt::format("there is no file {} in the function: deploy it, or name another in command", name));
  }
  std::string_view path = environment.get("PATH");
  while (!path.empty()) {
    const std::string_view folder = path.substr(0, path.find(':'));
    path.remove_prefix(std::min(path.size(), folder.size() + 1));
    std::string candidate = std::string(folder.empty() ? "." : folder).append("/").append(name);
    if (is_program(candidate)) return candidate;
  }
  return missing(
      fmt::format("there is no program {0} in PATH ({1}): install it on the server, or deploy it and "
                  "write ./{0}",
                  name, environment.get("PATH")));
}

}  // namespace sterna::native
