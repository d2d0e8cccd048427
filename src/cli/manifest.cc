#include "cli/manifest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "api/templates.h"
#include "api/toml.h"
#include "cli/api_client.h"

namespace sterna::cli {
namespace {

namespace fs = std::filesystem;
using api::Json;

constexpr std::size_t kMaxManifestBytes = 1U << 20;

// What a single file becomes: its name in the bundle, and the template when none is given. Goes by the
// ending: "motion.py" becomes "handler.py".
struct HandlerKind {
  std::string_view file;
  std::string_view template_name;
};

std::optional<HandlerKind> kind_of(const fs::path& file) {
  if (!file.has_extension()) return std::nullopt;
  for (const api::Template& row : api::templates()) {
    for (const std::string_view handler : row.handlers) {
      if (fs::path(handler).extension() == file.extension()) return HandlerKind{handler, row.name};
    }
  }
  return std::nullopt;
}

// ".py, .js or .cc": every ending that a single file may have.
std::string known_endings() {
  std::vector<std::string> endings;
  for (const api::Template& row : api::templates()) {
    for (const std::string_view handler : row.handlers) {
      const std::string ending = fs::path(handler).extension();
      if (!ending.empty()) endings.push_back(ending);
    }
  }
  const std::string last = endings.back();
  endings.pop_back();
  return fmt::format("{} or {}", fmt::join(endings, ", "), last);
}

struct TomlToJson {
  std::string_view place;
  std::string failure;  // the first one

  Json convert(const toml::node& node) {
    if (const auto* table = node.as_table()) return object(*table);
    if (const auto* array = node.as_array()) {
      Json out = Json::array();
      for (const auto& item : *array) out.push_back(convert(item));
      return out;
    }
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* number = node.as_integer()) return number->get();
    if (const auto* number = node.as_floating_point()) return number->get();
    if (const auto* value = node.as_boolean()) return value->get();
    if (failure.empty()) {
      failure = fmt::format("{} line {}: dates are not used here; write it as text", place,
                            node.source().begin.line);
    }
    return nullptr;
  }

  Json object(const toml::table& table) {
    Json out = Json::object();
    for (const auto& [key, value] : table) out[std::string(key.str())] = convert(value);
    return out;
  }
};

Result<Json> read_manifest(const fs::path& file) {
  auto text = read_file(file, kMaxManifestBytes);
  if (!text) return std::unexpected(text.error());
  return toml_to_json(*text, file.native());
}

// The template whose handler lies at the top of the folder; empty when none does. Names without an ending
// (bootstrap) are those of several templates.
std::string template_of(const std::vector<PackedFile>& files) {
  for (const api::Template& row : api::templates()) {
    for (const std::string_view handler : row.handlers) {
      if (!fs::path(handler).has_extension()) continue;
      if (std::ranges::find(files, handler, &PackedFile::path) != files.end()) return std::string(row.name);
    }
  }
  return {};
}

Result<Deployable> read_folder(const fs::path& folder) {
  Deployable out{.settings = Json::object(), .files = {}};
  if (fs::exists(folder / "function.toml")) {
    auto settings = read_manifest(folder / "function.toml");
    if (!settings) return std::unexpected(settings.error());
    out.settings = std::move(*settings);
  }
  auto files = collect_files(folder);
  if (!files) return std::unexpected(files.error());
  out.files = std::move(*files);
  if (!out.settings.contains("template")) {
    if (std::string found = template_of(out.files); !found.empty())
      out.settings["template"] = std::move(found);
  }
  return out;
}

Result<Deployable> read_single_file(const fs::path& file) {
  const auto kind = kind_of(file);
  if (!kind) {
    return bad_usage(fmt::format("{}: one file must be {}; put others into a folder with function.toml",
                                 file.native(), known_endings()));
  }
  auto content = read_file(file, kMaxCodeBytes);
  if (!content) return std::unexpected(content.error());
  Deployable out{.settings = Json{{"template", kind->template_name}}, .files = {}};
  out.files.push_back({std::string(kind->file), std::move(*content)});
  return out;
}

// A folder or file that is called "handler" says nothing; the folder around it does.
std::string default_name(const fs::path& path) {
  std::error_code error;
  const fs::path full = fs::weakly_canonical(path, error);
  const bool use_folder = fs::is_regular_file(path) && full.stem() == "handler";
  return name_from(use_folder ? full.parent_path().filename().native()
                              : (fs::is_regular_file(path) ? full.stem() : full.filename()).native());
}

Status apply_overrides(Json& settings, const DeployOverrides& overrides) {
  if (!overrides.name.empty()) settings["name"] = overrides.name;
  if (!overrides.template_name.empty()) settings["template"] = overrides.template_name;
  for (const auto& pair : overrides.env) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos || equals == 0)
      return bad_usage(fmt::format("--env {}: write KEY=value", pair));
    if (settings.contains("env") && !settings["env"].is_object()) return bad_usage("env must be a table");
    settings["env"][pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return {};
}

}  // namespace

std::string name_from(std::string_view stem) {
  std::string name;
  for (char c : stem) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool stays = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (stays) name += c;
    if (!stays && !name.empty() && name.back() != '-') name += '-';
  }
  while (name.ends_with('-')) name.pop_back();
  return name;
}

Result<Json> toml_to_json(std::string_view text, std::string_view place) {
  const auto parsed = api::parse_toml(text, place);
  if (!parsed) return bad_usage(parsed.error().detail);
  TomlToJson reader{.place = place, .failure = {}};
  Json json = reader.object(*parsed);
  if (!reader.failure.empty()) return bad_usage(reader.failure);
  return json;
}

Result<Deployable> read_deployable(const fs::path& path, const DeployOverrides& overrides) {
  std::error_code error;
  const bool is_folder = fs::is_directory(path, error);
  if (!is_folder && !fs::is_regular_file(path, error)) {
    return bad_usage(fmt::format("{}: no such file or folder", path.native()));
  }
  auto out = is_folder ? read_folder(path) : read_single_file(path);
  if (!out) return out;
  if (auto applied = apply_overrides(out->settings, overrides); !applied)
    return std::unexpected(applied.error());
  if (!out->settings.contains("name")) out->settings["name"] = default_name(path);
  if (!out->settings["name"].is_string()) return bad_usage("name must be text");
  return out;
}

}  // namespace sterna::cli
