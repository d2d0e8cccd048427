#include "build/recipe.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "api/json.h"
#include "build/requirements.h"

namespace sterna::build {
namespace {

using api::BuildKind;
using bundle::File;
using bundle::Files;

constexpr std::string_view kRequirements = "requirements.txt";
constexpr std::string_view kPackageJson = "package.json";
constexpr std::string_view kLockFiles[] = {"package-lock.json", "npm-shrinkwrap.json"};
constexpr std::string_view kHandlerSource = "handler.cc";
constexpr std::string_view kFolder = "/function";
constexpr const char* kPath = "/usr/local/bin:/usr/bin:/bin";
// Scripts of the project itself that npm runs when it installs: they may look at all its files.
constexpr const char* kInstallScripts[] = {
    "preinstall", "install",     "postinstall",     "prepublish",   "preprepare",
    "prepare",    "postprepare", "predependencies", "dependencies", "postdependencies"};
// npm compiles a project that has this file, without a script of its own that says so.
constexpr std::string_view kGypFile = "binding.gyp";
// Fields of package.json that may lead to folders of the project.
constexpr const char* kDependencyFields[] = {"dependencies", "optionalDependencies", "peerDependencies",
                                             "overrides"};

std::unexpected<Error> impossible(std::string detail) {
  return fail(Code::kInvalid, Component::kFunction, "build_impossible", std::move(detail));
}

const File* find(const Files& files, std::string_view path) {
  const auto found = std::ranges::find(files, path, &File::path);
  return found == files.end() ? nullptr : &*found;
}

bool is_lock_file(std::string_view path) {
  return std::ranges::find(kLockFiles, path) != std::end(kLockFiles);
}

bool has_below(const Files& files, std::string_view folder) {
  const std::string prefix = std::string(folder) + "/";
  return std::ranges::any_of(files, [&](const File& file) { return file.path.starts_with(prefix); });
}

std::string in_scratch(std::string_view name) {
  return fmt::format("{}/{}/{}", kFolder, kScratch, name);
}

std::map<std::string, std::string> environment_of(std::string path) {
  return {{"PATH", std::move(path)},
          {"LANG", "C.UTF-8"},
          {"HOME", in_scratch("home")},
          {"TMPDIR", in_scratch("tmp")}};
}

bool is_scratch(const File& file) {
  return file.path == kScratch || file.path.starts_with(std::string(kScratch) + "/");
}

// All that the build gets, to the last byte, and whose it is: code that runs in one team's build must not
// reach another's function.
std::string key_of(std::string_view space_id, const Recipe& recipe) {
  std::string text;
  const auto add = [&](std::string_view word) { text.append(word).append(1, '\0'); };
  add(space_id);
  add(recipe.tool);
  add(recipe.output);
  add(recipe.network == Network::kNone ? "none" : "egress");
  add(std::to_string(recipe.argv.size()));
  for (const std::string& word : recipe.argv) add(word);
  for (const auto& [name, value] : recipe.env) add(fmt::format("{}={}", name, value));
  Files files = recipe.inputs;
  files.push_back({std::string(kScratch), std::move(text)});  // no input has that name
  std::ranges::sort(files, {}, &File::path);
  return bundle::hash_of(files);
}

const Tool* tool_of(const std::map<std::string, Tool>& tools, const std::string& template_name,
                    std::string_view usual) {
  auto found = tools.find(template_name);
  if (found == tools.end()) found = tools.find(std::string(usual));
  return found == tools.end() ? nullptr : &found->second;
}

// --- Python ---

// Writes requirements.txt, and what it includes, as pip can install it with --target.
void prepare_requirements(Files& inputs) {
  std::vector<std::string> paths = {std::string(kRequirements)};
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto file = std::ranges::find(inputs, paths[i], &File::path);
    if (file == inputs.end()) continue;
    file->content = without_editables(decoded(file->content));
    const std::filesystem::path folder = std::filesystem::path(paths[i]).parent_path();
    for (const std::string& included : included_files(file->content)) {
      std::string path = (folder / included).lexically_normal();
      if (std::ranges::find(paths, path) == paths.end()) paths.push_back(std::move(path));
    }
  }
}

Result<std::optional<Recipe>> plan_python(const api::FunctionSpec& spec, const Files& files,
                                          const Toolbox& tools) {
  const File* const list = find(files, kRequirements);
  if (list == nullptr || has_below(files, kPythonPackages)) return std::nullopt;
  const Requirements requirements = read_requirements(decoded(list->content));
  if (!requirements.any) return std::nullopt;
  const Tool* const python = tool_of(tools.pythons, spec.template_name, "python3-http");
  if (python == nullptr) {
    return impossible(
        "requirements.txt: this server has no Python to install it with; install python3 on it");
  }
  Recipe recipe;
  recipe.kind = BuildKind::kPython;
  recipe.tool = python->identity;
  recipe.what = fmt::format("requirements.txt with {}", python->path);
  recipe.output = kPythonPackages;
  recipe.network = tools.offline ? Network::kNone : Network::kEgress;
  recipe.env = environment_of(kPath);
  recipe.argv = {python->path,
                 "-I",
                 "-m",
                 "pip",
                 "install",
                 "--no-input",
                 "--no-color",
                 "--no-cache-dir",
                 "--disable-pip-version-check",
                 "--root-user-action",
                 "ignore",
                 "--progress-bar",
                 "off",
                 "--target",
                 fmt::format("{}/{}", kFolder, kPythonPackages)};
  const auto add = [&](const auto&... words) { (recipe.argv.emplace_back(words), ...); };
  if (requirements.hashes) add("--require-hashes");
  if (!tools.pip_index_url.empty()) add("--index-url", tools.pip_index_url);
  if (tools.offline) add("--no-index");
  if (has_below(files, "wheels")) add("--find-links", "wheels");
  if (tools.has_wheels) add("--find-links", std::string(kWheelsFolder));
  add("--requirement", std::string(kRequirements));
  std::ranges::copy_if(files, std::back_inserter(recipe.inputs), [&](const File& file) {
    return requirements.local || file.path == kRequirements || file.path.starts_with("wheels/");
  });
  prepare_requirements(recipe.inputs);
  return recipe;
}

// --- Node ---

// Whether a field of package.json names something.
bool has_any(const api::Json& package, const char* field) {
  const auto found = package.find(field);
  return found != package.end() && (found->is_object() || found->is_array()) && !found->empty();
}

// Whether a wanted version, or one of those in an object of `overrides`, is a folder.
bool names_a_folder(const api::Json& wanted) {
  if (wanted.is_object()) {
    for (const api::Json& each : wanted) {
      if (names_a_folder(each)) return true;
    }
  }
  if (!wanted.is_string()) return false;
  const auto& text = wanted.get_ref<const std::string&>();
  return text.starts_with("file:") || text.starts_with("link:") || text.starts_with('.') ||
         text.starts_with('/');
}

// Whether npm would look at more of the project than package.json and its lock file.
bool is_local(const api::Json& package, const Files& files) {
  if (has_any(package, "workspaces") || find(files, kGypFile) != nullptr) return true;
  if (const auto scripts = package.find("scripts"); scripts != package.end() && scripts->is_object()) {
    for (const char* name : kInstallScripts) {
      if (scripts->contains(name)) return true;
    }
  }
  return std::ranges::any_of(kDependencyFields, [&](const char* field) {
    const auto found = package.find(field);
    return found != package.end() && found->is_object() && names_a_folder(*found);
  });
}

// npm makes a link to a folder that is not there, and the handler would miss the package when it runs.
std::optional<std::string> missing_folder(const api::Json& package, const Files& files) {
  const auto found = package.find("dependencies");
  if (found == package.end() || !found->is_object()) return std::nullopt;
  for (const auto& [name, wanted] : found->items()) {
    if (!wanted.is_string() || !names_a_folder(wanted)) continue;
    std::string_view place = wanted.get_ref<const std::string&>();
    for (const std::string_view scheme : {"file:", "link:"})
      if (place.starts_with(scheme)) place.remove_prefix(scheme.size());
    std::string path = std::filesystem::path(place).lexically_normal();
    while (path.ends_with('/')) path.pop_back();
    if (path == "." || find(files, path) != nullptr || has_below(files, path)) continue;
    return fmt::format(
        "package.json: {} is {}, which is not in the function's folder: copy it to a folder in there, such "
        "as vendor, and name that",
        name, wanted.get_ref<const std::string&>());
  }
  return std::nullopt;
}

Result<std::optional<Recipe>> plan_node(const api::FunctionSpec& spec, const Files& files,
                                        const Toolbox& tools) {
  const File* const manifest = find(files, kPackageJson);
  if (manifest == nullptr || has_below(files, kNodeModules)) return std::nullopt;
  const Result<api::Json> package = api::parse_json(manifest->content);
  if (!package || !package->is_object()) {
    return impossible("package.json: " + (package ? "it must be an object" : package.error().detail) +
                      "; correct the file");
  }
  if (!has_any(*package, "dependencies") && !has_any(*package, "optionalDependencies") &&
      !has_any(*package, "workspaces"))
    return std::nullopt;
  if (auto missing = missing_folder(*package, files)) return impossible(std::move(*missing));
  const Tool* const node = tool_of(tools.nodes, spec.template_name, "node-http");
  if (node == nullptr) {
    return impossible(
        "package.json: this server has no Node to install its packages with; install nodejs and npm on it, "
        "or "
        "deploy node_modules along");
  }
  Recipe recipe;
  recipe.kind = BuildKind::kNode;
  recipe.tool = node->identity;
  recipe.what = fmt::format("package.json with {}", node->path);
  recipe.output = kNodeModules;
  recipe.network = tools.offline ? Network::kNone : Network::kEgress;
  const bool locked =
      std::ranges::any_of(kLockFiles, [&](std::string_view name) { return find(files, name) != nullptr; });
  // npm is a script whose first line looks for node in PATH.
  const std::string folder = std::filesystem::path(node->path).parent_path();
  recipe.env = environment_of(fmt::format("{}:{}", folder, kPath));
  recipe.env.insert({{"npm_config_cache", in_scratch("npm")},
                     {"npm_config_update_notifier", "false"},
                     {"npm_config_logs_max", "0"},
                     // Its own pauses before it says that there is no registry add up to more than a minute.
                     {"npm_config_fetch_retry_mintimeout", "1000"},
                     {"npm_config_fetch_retry_maxtimeout", "5000"},
                     {"npm_config_fetch_timeout", "60000"}});
  if (!node->headers_prefix.empty()) recipe.env.emplace("npm_config_nodedir", node->headers_prefix);
  recipe.argv = {"npm",       locked ? "ci" : "install", "--omit=dev",    "--no-audit",
                 "--no-fund", "--no-progress",           "--color=false", "--foreground-scripts"};
  if (!locked) recipe.argv.emplace_back("--no-package-lock");
  if (!tools.npm_registry.empty()) recipe.argv.push_back("--registry=" + tools.npm_registry);
  if (tools.offline) recipe.argv.emplace_back("--offline");
  const bool local = is_local(*package, files);
  std::ranges::copy_if(files, std::back_inserter(recipe.inputs), [&](const File& file) {
    return local || file.path == kPackageJson || file.path == ".npmrc" || is_lock_file(file.path);
  });
  return recipe;
}

// --- C++ ---

bool is_source(const File& file) {
  return !file.path.contains('/') && (file.path.ends_with(".cc") || file.path.ends_with(".cpp"));
}

// Sources at the top that look as if they were to be compiled too: "a.c, b.cxx".
std::string other_sources(const Files& files) {
  std::string names;
  for (const File& file : files) {
    const bool other =
        std::ranges::any_of(std::initializer_list<std::string_view>{".c", ".cxx", ".c++", ".C"},
                            [&](std::string_view end) { return file.path.ends_with(end); });
    if (other && !file.path.contains('/')) names.append(names.empty() ? "" : ", ").append(file.path);
  }
  return names;
}

Result<std::optional<Recipe>> plan_cpp(const Files& files, const Toolbox& tools) {
  if (find(files, kHandlerSource) == nullptr || find(files, kLibrary) != nullptr) return std::nullopt;
  if (!tools.compiler) {
    return impossible(
        "handler.cc: this server has no C++ compiler; install g++ on it, or deploy handler.so, compiled as "
        "docs/templates.md shows");
  }
  Recipe recipe;
  recipe.kind = BuildKind::kCpp;
  recipe.tool = tools.compiler->identity;
  recipe.what = fmt::format("handler.cc with {}", tools.compiler->path);
  const std::string left_out = other_sources(files);
  if (!left_out.empty())
    recipe.what += fmt::format(", without {} (only .cc and .cpp are compiled)", left_out);
  recipe.output = kLibrary;
  recipe.env = environment_of(kPath);
  recipe.argv = {tools.compiler->path,
                 "-std=c++20",
                 "-O2",
                 "-fPIC",
                 "-shared",
                 "-pthread",
                 "-Wl,-z,defs",  // what is missing is told here, not when it is loaded
                 "-fvisibility=hidden",
                 "-Wall",
                 "-fdiagnostics-color=never",
                 fmt::format("-I{}/include", kScratch),
                 "-o",
                 std::string(kLibrary)};
  recipe.inputs = files;
  for (const File& file : files) {
    if (is_source(file)) recipe.argv.push_back(file.path);
  }
  for (const File& header : tools.headers) {
    recipe.inputs.push_back({fmt::format("{}/include/{}", kScratch, header.path), header.content});
  }
  return recipe;
}

BuildKind kind_of(const api::FunctionSpec& spec) {
  const api::Template* const row = api::find_template(spec.template_name);
  STERNA_ASSERT(row != nullptr);
  return row->build;
}

Result<std::optional<Recipe>> plan_kind(const api::FunctionSpec& spec, const Files& files,
                                        const Toolbox& tools) {
  switch (kind_of(spec)) {
    case BuildKind::kPython:
      return plan_python(spec, files, tools);
    case BuildKind::kNode:
      return plan_node(spec, files, tools);
    case BuildKind::kCpp:
      return plan_cpp(files, tools);
    case BuildKind::kPackages:
      break;
  }
  if (find(files, kRequirements) != nullptr) return plan_python(spec, files, tools);
  return plan_node(spec, files, tools);
}

}  // namespace

bool may_need_build(const api::FunctionSpec& spec, const std::filesystem::path& folder) {
  const auto is_there = [&](std::string_view name) {
    std::error_code error;
    return std::filesystem::exists(folder / name, error);
  };
  const bool python = is_there(kRequirements) && !is_there(kPythonPackages);
  const bool node = is_there(kPackageJson) && !is_there(kNodeModules);
  switch (kind_of(spec)) {
    case BuildKind::kPython:
      return python;
    case BuildKind::kNode:
      return node;
    case BuildKind::kCpp:
      return !is_there(kLibrary);
    case BuildKind::kPackages:
      break;
  }
  return python || node;
}

Result<std::optional<Recipe>> plan_build(std::string_view space_id, const api::FunctionSpec& spec,
                                         const Files& files, const Toolbox& tools) {
  Files seen;
  std::ranges::copy_if(files, std::back_inserter(seen), std::not_fn(is_scratch));
  auto recipe = plan_kind(spec, seen, tools);
  if (recipe && *recipe) (*recipe)->key = key_of(space_id, **recipe);
  return recipe;
}

std::optional<Tool> tool_at(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  struct stat info{};
  if (error || ::access(real.c_str(), X_OK) != 0 || ::stat(real.c_str(), &info) != 0) return std::nullopt;
  return Tool{path, fmt::format("{} {} {}.{}", real.native(), info.st_size, info.st_mtim.tv_sec,
                                info.st_mtim.tv_nsec)};
}

}  // namespace sterna::build
