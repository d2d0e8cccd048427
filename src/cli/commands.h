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
  std::optional<int> traffic_percent;  // of the calls, for the new version; not given: all
  std::chrono::seconds timeout{120};   // for the function to be Running, once it is built
};
Result<int> deploy(const Target& target, const DeployArgs& args);

// dev.cc
struct DevArgs {
  std::filesystem::path path;
  DeployOverrides overrides;
  bool own_server = true;  // else the target's
  std::uint16_t port = 0;  // of the own server; 0: any
};
// Serves until SIGINT or SIGTERM. The exit status is 0 then; fails when the server cannot be used or ends.
Result<int> dev(const Target& target, const DevArgs& args);

// invoke.cc
struct InvokeArgs {
  std::string name;
  std::optional<std::string> data;  // the body; "@file", "@-" for stdin
  std::string method;               // empty: GET, or POST with a body
  std::string path;                 // "/a/b?x=1", "a/b", "?x=1" or empty
  std::vector<std::string> headers;
  bool show_head = false;
  std::optional<std::string> call_id;
  std::optional<std::string> idempotency_key;
  bool async = false;  // what follows is for asynchronous invocations
  bool wait = false;   // until the end, then print the answer as if it were synchronous
  std::optional<std::string> callback;
  std::optional<double> delay_seconds;
  std::optional<std::string> not_before;  // RFC 3339
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

// versions.cc
Result<int> show_version(const Target& target, std::string_view name, std::int64_t version);
// What changed from one version to the other: settings, then a patch of the files.
Result<int> diff_versions(const Target& target, std::string_view name, std::int64_t from, std::int64_t to);

// traffic.cc
// Shows which versions get how much of the calls; `share` ("7=10": version 7 gets 10 %, the active one the
// others) changes it first when it is not empty.
Result<int> traffic(const Target& target, std::string_view name, std::string_view share);

// sandbox.cc
Result<int> show_sandbox(const Target& target, std::string_view name);

// invocations.cc
struct InvocationsArgs {
  std::string name;
  std::string state;     // empty: all
  std::string delivery;  // empty: all
  std::size_t limit = 50;
};
Result<int> list_invocations(const Target& target, const InvocationsArgs& args);
Result<int> get_invocation(const Target& target, std::string_view name, std::string_view id);
// Waits at most `limit` for the end; the exit status is that of the end.
Result<int> wait_invocation(const Target& target, std::string_view name, std::string_view id,
                            std::optional<std::chrono::seconds> limit);
Result<int> show_response(const Target& target, std::string_view name, std::string_view id, bool show_head);
Result<int> cancel_invocation(const Target& target, std::string_view name, std::string_view id);
Result<int> redrive_invocation(const Target& target, std::string_view name, std::string_view id);
Result<int> redeliver_invocation(const Target& target, std::string_view name, std::string_view id);

// invocation_tail.cc
struct TailArgs {
  std::string name;
  std::size_t last = 10;                     // of the older ones, shown first
  std::chrono::milliseconds interval{1000};  // between two looks
};
// Goes on until the server is gone or refuses.
Result<int> tail_invocations(const Target& target, const TailArgs& args);

// listen.cc
struct ListenArgs {
  std::uint16_t port = 0;            // 0: any
  std::vector<std::string> secrets;  // empty: the server is asked for those of the space
  unsigned status = 200;             // answered to every callback
  std::optional<std::uint64_t> count;
};
// Prints callbacks as they arrive, until `count` is reached. The exit status is 1 when a signature failed.
Result<int> listen(const Target& target, const ListenArgs& args);

// logs.cc
struct LogsArgs {
  std::string name;
  bool follow = false;
  bool invocations = false;  // each one as it ends, too; needs `follow`
  std::optional<std::uint64_t> tail;
  std::string since;
  std::string call_id;
};
Result<int> show_logs(const Target& target, const LogsArgs& args);

// builds.cc
struct BuildLogsArgs {
  std::string name;
  std::optional<std::int64_t> version;  // not given: the newest
  bool follow = false;
};
Result<int> show_build_logs(const Target& target, const BuildLogsArgs& args);
// `function` is its path. The log is read with read_log.
std::string build_log_path(const std::string& function, std::int64_t version, bool follow);
// A record of a build's log as people read it: the tool's line as it is, Sterna's own after "== ".
std::string build_line_text(std::string_view ndjson_line);

// secrets.cc
struct SetSecretArgs {
  std::string name;
  std::filesystem::path file;  // empty: standard input, or asked for on a terminal
};
Result<int> set_secret(const Target& target, const SetSecretArgs& args);
Result<int> list_secrets(const Target& target);
enum class DeleteSecret : std::uint8_t { kUnused, kAlsoUsed };
Result<int> delete_secret(const Target& target, std::string_view name, DeleteSecret mode);

// apps.cc
enum class OwnerOfApps : std::uint8_t { kSpace, kServer };
struct AppArgs {
  OwnerOfApps owner = OwnerOfApps::kSpace;
  std::string name;  // or its id; of a new one the name
  std::vector<std::string> scopes;
  std::vector<std::string> functions;
  std::optional<std::string> description;
  std::optional<std::string> expires_at;  // RFC 3339; empty: never
  std::optional<bool> disabled;
  std::vector<std::string> limits;  // "requests_per_second=5"
};
Result<int> create_app(const Target& target, const AppArgs& args);
Result<int> list_apps(const Target& target, OwnerOfApps owner);
Result<int> get_app(const Target& target, const AppArgs& args);
Result<int> update_app(const Target& target, const AppArgs& args);
Result<int> rotate_app(const Target& target, const AppArgs& args);
Result<int> delete_app(const Target& target, const AppArgs& args);

// audit.cc
// Who changed what, the newest first, at most `limit` entries: in the space, or in all spaces and on the
// server.
Result<int> show_audit(const Target& target, OwnerOfApps owner, std::size_t limit);

// login.cc
// Asks for the app's secret, tries it, and keeps it for the target's URL.
Result<int> login(const Target& target, const std::string& client_id);
Result<int> logout(const Target& target);

// spaces.cc
Result<int> list_spaces(const Target& target);
Result<int> create_space(const Target& target, std::string_view name);
enum class DeleteSpace : std::uint8_t { kOnlyEmpty, kWithFunctions };
Result<int> delete_space(const Target& target, std::string_view name, DeleteSpace mode);
Result<int> get_space(const Target& target, std::string_view name);
// Replaces the private targets that callbacks of the space may go to: CIDRs or host names.
Result<int> set_callback_allow(const Target& target, std::string_view name,
                               const std::vector<std::string>& allow);
// Shows what the space may use; with pairs like "burst=10" it is changed first.
Result<int> limit_space(const Target& target, std::string_view name, const std::vector<std::string>& limits);
// What callbacks of the space are signed with; kRotate makes a new one first.
enum class SigningSecret : std::uint8_t { kShow, kRotate };
Result<int> show_signing_secret(const Target& target, std::string_view name, SigningSecret mode);

// init.cc
struct InitArgs {
  std::filesystem::path folder;  // its name is the function's
  std::string template_name = "python3-http";
};
// Writes a handler and a function.toml into the folder, and makes it when it is not there. Fails with
// bad_usage when one of the files is there. Works without a server.
Result<int> init(const Target& target, const InitArgs& args);

}  // namespace sterna::cli
