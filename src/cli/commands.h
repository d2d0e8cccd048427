// The commands of the program. Each speaks with the server over HTTP, prints, and answers the exit status; an
// error is what made it impossible. program.h turns flags into these calls.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/api_client.h"
#include "cli/manifest.h"

namespace sterna::cli {

// deploy.cc
struct DeployArgs {
  std::filesystem::path path;
  DeployOverrides overrides;
  bool no_wait = false;
  bool quiet = false;
  std::chrono::seconds timeout{120};  // for the function to be Running
};
Result<int> deploy(const Target& target, const DeployArgs& args);

// How far the version that `function` (an answer of the API) speaks of has come.
enum class Rollout : std::uint8_t { kUnderWay, kRunning, kStopped, kFailed };
Rollout rollout_of(const api::Json& function);

// invoke.cc
struct InvokeArgs {
  std::string name;
  std::optional<std::string> data;  // the body; "@file", "@-" for stdin
  std::string method;               // empty: GET, or POST with a body
  std::string path;                 // "/a/b?x=1", "a/b", "?x=1" or empty
  std::vector<std::string> headers;
  bool show_head = false;
};
Result<int> invoke(const Target& target, const InvokeArgs& args);

// The request without its body. Fails with bad_usage.
Result<HttpRequest> invoke_request(const Api& api, const Target& target, const InvokeArgs& args);

// functions.cc
Result<int> list_functions(const Target& target);
Result<int> get_function(const Target& target, std::string_view name);
Result<int> delete_function(const Target& target, std::string_view name);
Result<int> stop_function(const Target& target, std::string_view name);
Result<int> start_function(const Target& target, std::string_view name);
Result<int> list_versions(const Target& target, std::string_view name);
Result<int> rollback(const Target& target, std::string_view name, std::int64_t version);

// logs.cc
struct LogsArgs {
  std::string name;
  bool follow = false;
  std::optional<std::uint64_t> tail;
  std::string since;
  std::string call_id;
};
Result<int> show_logs(const Target& target, const LogsArgs& args);

// spaces.cc
Result<int> list_spaces(const Target& target);
Result<int> create_space(const Target& target, std::string_view name);
enum class DeleteSpace : std::uint8_t { kOnlyEmpty, kWithFunctions };
Result<int> delete_space(const Target& target, std::string_view name, DeleteSpace mode);

// init.cc: makes the folder `name` with a handler and a function.toml. Works without a server.
Result<int> init(std::string_view name, std::string_view template_name);

}  // namespace sterna::cli
