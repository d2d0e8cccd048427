// What has to be done to a version's code before it can run, as plain data: decided from its files alone
// (docs/builds.md).
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/function_spec.h"
#include "api/templates.h"
#include "base/error.h"
#include "base/network.h"
#include "bundle/files.h"

namespace sterna::build {

struct Tool {
  std::string path;      // as seen in the sandbox too
  std::string identity;  // another one when the tool changes, so that what it made is made again
  // Of a Node whose headers are installed: where, so that modules which are compiled need not fetch them. Has
  // include/node in it. Else empty.
  std::string headers_prefix{};
};

// What this server builds with.
struct Toolbox {
  std::map<std::string, Tool> pythons;  // by template name, aliases too
  std::map<std::string, Tool> nodes;    // likewise
  std::optional<Tool> compiler;         // of C++
  bundle::Files headers;                // that the template cpp is compiled against
  std::string pip_index_url;            // empty: pip's own
  std::string npm_registry;             // empty: npm's own
  bool has_wheels = false;              // the sandbox has the server's folder of wheels, kWheelsFolder
  bool offline = false;                 // builds get no network
};

inline constexpr std::string_view kWheelsFolder = "/wheels";
inline constexpr std::string_view kPythonPackages = "python_packages";  // in the bundle, as in the layer
inline constexpr std::string_view kNodeModules = "node_modules";
inline constexpr std::string_view kLibrary = "handler.so";
// Of the build's own below its folder: `home`, `tmp`, `include`. Files of the code there are left out.
inline constexpr std::string_view kScratch = ".build";

struct Recipe {
  api::BuildKind kind = api::BuildKind::kPackages;
  std::string what;                        // for people: "requirements.txt with python3.11"
  std::string key;                         // of the layer; covers the space and all of the following
  std::string tool;                        // Tool::identity
  bundle::Files inputs;                    // all files that the build sees
  std::vector<std::string> argv;           // run in the folder with the inputs
  std::map<std::string, std::string> env;  // nothing else is in its environment
  std::string output;                      // the file or folder that it makes there: the layer's only entry
  Network network = Network::kNone;
};

// Whether a version with the code in `folder` may need a build; false is certain. Looks at a few names only.
bool may_need_build(const api::FunctionSpec& spec, const std::filesystem::path& folder);

// For a function of the space with that id: others share nothing with it, one of the same name neither.
// nullopt: nothing is to be built. Fails with invalid, reason `build_impossible`, when a file cannot be read
// or a tool is missing; the detail says what to do.
Result<std::optional<Recipe>> plan_build(std::string_view space_id, const api::FunctionSpec& spec,
                                         const bundle::Files& files, const Toolbox& tools);

// The tool at a path: which file it is and when that was changed. nullopt when it cannot be executed.
std::optional<Tool> tool_at(const std::filesystem::path& path);

}  // namespace sterna::build
