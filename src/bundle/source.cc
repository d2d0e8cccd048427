#include "bundle/source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "api/base64.h"
#include "api/object_reader.h"
#include "api/templates.h"

namespace sterna::bundle {
namespace {

// nullopt after the error was noted.
std::optional<std::string> decode(const api::Json& value, const std::string& field,
                                  api::FieldErrors& errors) {
  if (!value.is_string()) {
    api::add_error(errors, field, "must be a string in base64");
    return std::nullopt;
  }
  Result<std::string> bytes = api::base64_decode(value.get_ref<const std::string&>());
  if (bytes) return std::move(*bytes);
  api::add_error(errors, field, bytes.error().detail);
  return std::nullopt;
}

bool is_program(std::string_view content) {
  return content.starts_with("#!") || content.starts_with(
                                          "\x7f"
                                          "ELF");
}

Status add_file(Collector& collector, std::string_view raw_path, std::string content) {
  Result<std::string> path = clean_path(raw_path);
  if (!path) return std::unexpected(path.error());
  if (Status room = collector.reserve(content.size()); !room) return room;
  const Executable executable = is_program(content) ? Executable::kYes : Executable::kNo;
  return collector.add(std::move(*path), std::move(content), executable);
}

// Reads one file into the collection. What is wrong with it is a field error; fails when nothing more fits.
Status read_file(const api::Json& value, std::string_view path, const std::string& field,
                 Collector& collector, api::FieldErrors& errors) {
  std::optional<std::string> content = decode(value, field, errors);
  if (!content) return {};
  Status added = add_file(collector, path, std::move(*content));
  if (added || added.error().reason == kTooLarge) return added;
  api::add_error(errors, field, added.error().detail);
  return {};
}

Status read_files(const api::Json& json, const std::string& field, Collector& collector,
                  api::FieldErrors& errors) {
  if (!json.is_object()) {
    api::add_error(errors, field, "must be an object of paths and base64");
    return {};
  }
  for (const auto& [path, value] : json.items()) {
    const Status read = read_file(value, path, api::join_field(field, path), collector, errors);
    if (!read) return read;
  }
  return {};
}

std::string found_instead(const Files& files) {
  constexpr std::size_t kShown = 5;
  if (files.empty()) return "there are no files";
  std::string text = "there is";
  for (std::size_t i = 0; i < std::min(files.size(), kShown); ++i)
    text += (i == 0 ? " " : ", ") + files[i].path;
  if (files.size() > kShown) text += fmt::format(" and {} more", files.size() - kShown);
  return text;
}

// Templates of stored versions are always known: a name that is not in the table is refused before.
std::span<const std::string_view> handlers_of(const api::FunctionSpec& spec) {
  const api::Template* const row = api::find_template(spec.template_name);
  STERNA_ASSERT(row != nullptr);
  return row->handlers;
}

bool is_at_top(const Files& files, std::string_view name) {
  return std::ranges::find(files, name, &File::path) != files.end();
}

// "a.js, a.mjs or a.cjs"
std::string either_of(std::span<const std::string_view> names) {
  if (names.size() == 1) return std::string(names.front());
  return fmt::format("{} or {}", fmt::join(names.first(names.size() - 1), ", "), names.back());
}

// What to do when the whole folder was packed instead of its contents; "" when that is not so.
std::string folder_hint(const Files& files, std::string_view handler) {
  const std::string inside = "/" + std::string(handler);
  const auto deeper =
      std::ranges::find_if(files, [&](const File& file) { return file.path.ends_with(inside); });
  if (deeper == files.end()) return "";
  return fmt::format("; pack the contents of {}/, not the folder itself",
                     deeper->path.substr(0, deeper->path.size() - inside.size()));
}

}  // namespace

std::expected<Files, api::Problem> parse_source(const api::Json& json, std::string_view field,
                                                const api::FunctionSpec* spec, std::size_t max_bytes) {
  api::FieldErrors errors;
  Collector collector(max_bytes);
  api::ObjectReader reader(json, std::string(field), errors);
  const api::Json* code = reader.find("code");
  const api::Json* files = reader.find("files");
  reader.finish();
  Status read;
  if (errors.empty() && (code == nullptr) == (files == nullptr)) {
    reader.error("code", "either code or files must be given");
  } else if (code != nullptr) {
    const std::string_view name = spec == nullptr ? "code" : handlers_of(*spec).front();
    read = read_file(*code, name, api::join_field(field, "code"), collector, errors);
  } else if (files != nullptr) {
    read = read_files(*files, api::join_field(field, "files"), collector, errors);
  }
  if (!read) return std::unexpected(api::to_problem(read.error()));
  Result<Files> collected = collector.finish();
  if (!collected) api::add_error(errors, api::join_field(field, "files"), collected.error().detail);
  Status handler = collected && spec != nullptr ? check_handler(*collected, *spec) : Status();
  if (errors.empty() && !handler) {
    api::add_error(errors, api::join_field(field, "files"), handler.error().detail);
  }
  if (!errors.empty()) return std::unexpected(api::to_problem(std::move(errors)));
  return std::move(*collected);
}

api::OrderedJson source_json(const Files& files, const api::FunctionSpec& spec) {
  if (files.size() == 1 && files[0].path == handlers_of(spec).front()) {
    return {{"code", api::base64_encode(files[0].content)}};
  }
  api::OrderedJson json = api::OrderedJson::object();
  for (const File& file : files) json[file.path] = api::base64_encode(file.content);
  return {{"files", std::move(json)}};
}

Status check_handler(const Files& files, const api::FunctionSpec& spec) {
  if (!spec.command.empty()) return {};
  const auto expected = handlers_of(spec);
  if (std::ranges::any_of(expected, [&](std::string_view name) { return is_at_top(files, name); })) return {};
  const bool may_have_command = api::find_template(spec.template_name)->command == api::CommandUse::kOptional;
  return fail(Code::kInvalid, Component::kRegistry, "handler_missing",
              fmt::format("{} is expected at the top{}, {}{}", either_of(expected),
                          may_have_command ? " when no command is given" : "", found_instead(files),
                          folder_hint(files, expected.front())));
}

std::string handler_in(const std::filesystem::path& folder, const api::FunctionSpec& spec) {
  for (const std::string_view name : handlers_of(spec)) {
    std::error_code error;
    if (std::filesystem::exists(folder / name, error)) return std::string(name);
  }
  return "";
}

}  // namespace sterna::bundle
