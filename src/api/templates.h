// The templates that a function can be written for, one row each: whatever differs between them is asked
// here, so that a new template is a row and a runtime.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sterna::api {

// What makes the code that runs out of the code that was sent (docs/builds.md).
enum class BuildKind : std::uint8_t {
  kPython,    // requirements.txt
  kNode,      // package.json
  kCpp,       // *.cc
  kPackages,  // the first of requirements.txt and package.json that is there
};

// Whether a function may say what is executed (`command`).
enum class CommandUse : std::uint8_t { kNever, kOptional };

// How the code gets a request's body: all of it at once, or by reading, so that it may begin while the body
// still comes (`request_buffering` false).
enum class BodyUse : std::uint8_t { kWhole, kReads };

struct Template {
  std::string_view name;     // e.g. "python3-http"
  std::string_view alias;    // e.g. "python3"; empty: none
  std::string_view runtime;  // the folder below runtimes/ that runs it
  // Files of which one must be at the top of the bundle, unless a command is given. `source.code` becomes the
  // first one.
  std::span<const std::string_view> handlers;
  BuildKind build = BuildKind::kPackages;
  CommandUse command = CommandUse::kNever;
  BodyUse body = BodyUse::kWhole;
  // Calls at a time of one worker when the user did not say; nullopt: as the handler is, sync or async.
  std::optional<std::int64_t> concurrency;
};

std::span<const Template> templates();

// The row for a name or alias. "python3.11-http" has python3-http's row: a template whose name ends in
// "-http" may have a version before it. Null for a name that is none of them.
const Template* find_template(std::string_view name);

// "python3" is "python3-http"; every other name stands for itself.
std::string_view canonical_template(std::string_view name);

}  // namespace sterna::api
