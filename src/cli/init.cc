// sterna init: a folder to begin with.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "api/templates.h"
#include "base/names.h"
#include "cli/commands.h"
#include "cli/starters.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

namespace fs = std::filesystem;

using StarterFiles = std::vector<StarterFile>;

// Empty when there are none; "node20-http" begins like "node-http".
StarterFiles find_starter(std::string_view template_name) {
  StarterFiles found;
  const api::Template* const row = api::find_template(template_name);
  if (row == nullptr) return found;
  std::ranges::copy_if(starter_files(), std::back_inserter(found),
                       [&](const StarterFile& file) { return file.template_name == row->name; });
  return found;
}

// "python3-http, node-http, cpp or http", in the order of the table of templates.
std::string starter_names() {
  std::vector<std::string_view> names;
  for (const api::Template& row : api::templates()) {
    if (!find_starter(row.name).empty()) names.push_back(row.name);
  }
  const std::string_view last = names.back();
  names.pop_back();
  return fmt::format("{} or {}", fmt::join(names, ", "), last);
}

std::string replaced(std::string text, std::string_view placeholder, std::string_view value) {
  for (std::size_t at = 0; (at = text.find(placeholder, at)) != std::string::npos; at += value.size())
    text.replace(at, placeholder.size(), value);
  return text;
}

// Nothing is written when one of the files is there already.
Status check_free(const fs::path& folder, const StarterFiles& files) {
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_directory(folder, error))
    return bad_usage(fmt::format("{} is there already, and no folder", folder.native()));
  for (const StarterFile& file : files) {
    if (fs::exists(fs::symlink_status(folder / file.path, error))) {
      return bad_usage(
          fmt::format("{} is there already; nothing was written", (folder / file.path).native()));
    }
  }
  return {};
}

Status write_file(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out) return bad_usage(fmt::format("cannot write {}", file.native()));
  if (text.starts_with("#!")) {
    constexpr auto kExecutable = fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;
    std::error_code error;
    fs::permissions(file, kExecutable, fs::perm_options::add, error);
    if (error) return bad_usage(fmt::format("cannot make {} executable: {}", file.native(), error.message()));
  }
  return {};
}

Status write_all(const fs::path& folder, const StarterFiles& files, std::string_view name,
                 std::string_view template_name) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return bad_usage(fmt::format("cannot make the folder {}: {}", folder.native(), error.message()));
  for (const StarterFile& file : files) {
    const std::string named = replaced(std::string(file.text), "{{name}}", name);
    auto written = write_file(folder / file.path, replaced(named, "{{template}}", template_name));
    if (!written) return written;
  }
  return {};
}

// The folder's own name, also for "." and "motion/".
std::string folder_name(const fs::path& folder) {
  std::error_code error;
  const fs::path full = fs::weakly_canonical(folder, error);
  return (full.has_filename() ? full : full.parent_path()).filename();
}

void tell_next(const Target& target, const InitArgs& args, const StarterFiles& files, std::string_view name) {
  const std::string folder = args.folder.native();
  std::vector<std::string> paths;
  for (const StarterFile& file : files) paths.push_back((args.folder / file.path).native());
  if (target.json) {
    print_json({{"name", name}, {"folder", folder}, {"template", args.template_name}, {"files", paths}});
    return;
  }
  print(fmt::format("Written: {}\nNext:\n  sterna deploy {}\n  sterna invoke {} -p '/some/path?who=you'\n",
                    fmt::join(paths, ", "), folder, name));
}

}  // namespace

Result<int> init(const Target& target, const InitArgs& args) {
  const std::string name = folder_name(args.folder);
  if (!is_valid_name(name)) return bad_usage(fmt::format("'{}' cannot be a function: {}", name, kNameRule));
  const StarterFiles files = find_starter(args.template_name);
  if (files.empty()) {
    return bad_usage(
        fmt::format("there is no template '{}' to begin with; use {}", args.template_name, starter_names()));
  }
  if (auto free = check_free(args.folder, files); !free) return std::unexpected(free.error());
  if (auto written = write_all(args.folder, files, name, args.template_name); !written)
    return std::unexpected(written.error());
  tell_next(target, args, files, name);
  return kExitOk;
}

}  // namespace sterna::cli
