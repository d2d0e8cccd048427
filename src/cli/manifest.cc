#include "cli/manifest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "api/templates.h"
#include "api/toml.h"
#include "base/names.h"
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
  FieldPlaces* places;
  std::string failure;  // the first one

  // `field` is the full name of what the node sets.
  Json convert(const toml::node& node, const std::string& field) {
    if (places != nullptr) (*places)[field] = fmt::format("{} line {}", place, node.source().begin.line);
    if (const auto* table = node.as_table()) return object(*table, field);
    if (const auto* array = node.as_array()) {
      Json out = Json::array();
      for (const auto& item : *array) out.push_back(convert(item, fmt::format("{}[{}]", field, out.size())));
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

  Json object(const toml::table& table, const std::string& prefix) {
    Json out = Json::object();
    for (const auto& [key, value] : table) {
      const std::string name(key.str());
      out[name] = convert(value, prefix.empty() ? name : fmt::format("{}.{}", prefix, name));
    }
    return out;
  }
};

Result<Json> read_manifest(const fs::path& file, FieldPlaces& places) {
  auto text = read_file(file, kMaxManifestBytes);
  if (!text) return std::unexpected(text.error());
  return toml_to_json(*text, file.native(), &places);
}

// For files of which none tells the template: those that may be meant for another one than the usual.
std::string hint_of(const std::vector<PackedFile>& files) {
  constexpr std::string_view kOfNode[] = {".js", ".mjs", ".cjs", ".ts"};
  const auto of_node = std::ranges::find_if(files, [&](const PackedFile& file) {
    return std::ranges::find(kOfNode, fs::path(file.path).extension().native()) != std::end(kOfNode);
  });
  std::vector<std::string_view> known;
  for (const api::Template& row : api::templates())
    known.insert(known.end(), row.handlers.begin(), row.handlers.end());
  std::ranges::sort(known);
  const auto repeated = std::ranges::unique(known);
  known.erase(repeated.begin(), repeated.end());
  std::string hint = fmt::format(
      "No template was named, and no handler at the top of the folder tells it ({}): name one with "
      "--template or in "
      "function.toml",
      fmt::join(known, ", "));
  if (of_node != files.end())
    hint += fmt::format(
        "; {} may be meant for node-http (then call it handler.js) or for http or lambda (with command)",
        of_node->path);
  return hint;
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
  Deployable out{.settings = Json::object(), .files = {}, .places = {}, .hint = {}};
  if (fs::exists(folder / "function.toml")) {
    auto settings = read_manifest(folder / "function.toml", out.places);
    if (!settings) return std::unexpected(settings.error());
    out.settings = std::move(*settings);
  }
  auto files = collect_files(folder);
  if (!files) return std::unexpected(files.error());
  out.files = std::move(*files);
  if (!out.settings.contains("template")) {
    if (std::string found = template_of(out.files); !found.empty()) {
      out.settings["template"] = std::move(found);
    } else {
      out.hint = hint_of(out.files);
    }
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
  Deployable out{.settings = Json{{"template", kind->template_name}}, .files = {}, .places = {}, .hint = {}};
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

Status apply_overrides(Deployable& code, const DeployOverrides& overrides) {
  Json& settings = code.settings;
  if (!overrides.name.empty()) {
    settings["name"] = overrides.name;
    code.places.erase("name");
  }
  if (!overrides.template_name.empty()) {
    settings["template"] = overrides.template_name;
    code.places.erase("template");
    code.hint.clear();
  }
  for (const auto& pair : overrides.env) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos || equals == 0)
      return bad_usage(fmt::format("--env {}: write KEY=value", pair));
    if (settings.contains("env") && !settings["env"].is_object()) return bad_usage("env must be a table");
    settings["env"][pair.substr(0, equals)] = pair.substr(equals + 1);
    code.places.erase("env." + pair.substr(0, equals));
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

std::string with_places(std::string_view refusal, const FieldPlaces& places) {
  constexpr std::string_view kIndent = "\n  ";
  std::string out;
  while (true) {
    const std::size_t next = refusal.find(kIndent);
    out += refusal.substr(0, next);
    if (next == std::string_view::npos) return out;
    out += kIndent;
    refusal.remove_prefix(next + kIndent.size());
    const auto place = places.find(std::string(refusal.substr(0, refusal.find(':'))));
    if (place != places.end()) out += place->second + ": ";
  }
}

Result<Json> toml_to_json(std::string_view text, std::string_view place, FieldPlaces* places) {
  const auto parsed = api::parse_toml(text, place);
  if (!parsed) return bad_usage(parsed.error().detail);
  TomlToJson reader{.place = place, .places = places, .failure = {}};
  Json json = reader.object(*parsed, {});
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
  if (auto applied = apply_overrides(*out, overrides); !applied) return std::unexpected(applied.error());
  if (!out->settings.contains("name")) {
    std::string made = default_name(path);
    if (made.empty())
      return bad_usage(fmt::format("{}: no name can be made of that: choose one with --name", path.native()));
    out->settings["name"] = std::move(made);
  }
  const Json& name = out->settings["name"];
  const auto place = out->places.find("name");
  const std::string named = place == out->places.end() ? "name" : place->second + ": name";
  if (!name.is_string()) return bad_usage(named + " must be text");
  if (const auto& text = name.get_ref<const std::string&>(); !is_valid_name(text))
    return bad_usage(fmt::format("{} '{}': {}", named, text, kNameRule));
  return out;
}

}  // namespace sterna::cli
