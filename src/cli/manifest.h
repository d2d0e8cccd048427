// A function's settings on disk: function.toml has the same fields as the API's JSON.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "base/error.h"
#include "cli/pack.h"

namespace sterna::cli {

// Where settings stand, by their full name: "limits.memory_mb" -> "function.toml line 7".
using FieldPlaces = std::map<std::string, std::string>;

// A refusal with the place of each field that it names ("\n  limits.memory_mb: must be ...").
std::string with_places(std::string_view refusal, const FieldPlaces& places);

// What `deploy` sends: the settings without code, and the code.
struct Deployable {
  api::Json settings;
  std::vector<PackedFile> files;
  FieldPlaces places{};  // of the settings that came from function.toml
  std::string hint{};    // when nothing tells the template: what to do if it was not the usual one
};

struct DeployOverrides {
  std::string name;
  std::string template_name;
  std::vector<std::string> env;  // "KEY=value"
};

// Reads one file or a folder. The name is the one of the flag, of function.toml, or of the folder or file.
// Fails with invalid, reason `bad_usage`, naming the place.
Result<Deployable> read_deployable(const std::filesystem::path& path, const DeployOverrides& overrides);

// TOML as JSON. `place` names the source in errors and in `places`, which may be null. Dates are refused: the
// API has no such field.
Result<api::Json> toml_to_json(std::string_view text, std::string_view place, FieldPlaces* places = nullptr);

// "My_Handler" -> "my-handler"; empty when nothing of it can stay.
std::string name_from(std::string_view stem);

}  // namespace sterna::cli
