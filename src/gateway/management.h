// The management API: spaces, functions, their code and versions, secrets, apps. Plain structs in and out, no
// sockets.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/function_json.h"
#include "api/problem.h"
#include "audit/audit_log.h"
#include "auth/grant.h"
#include "bundle/bundle_store.h"
#include "gateway/management_route.h"
#include "registry/registry.h"

namespace sterna::gateway {

struct ManagementRequest {
  std::string method;
  std::string path;   // raw, without query
  std::string query;  // raw, without '?'
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string address;    // of the client
  auth::GrantPtr caller;  // who asks, once Management::access_of has been checked; null: nobody
};

struct ManagementReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // Content-Type among them when there is a body
  std::string body;                                          // to HEAD too: the transport leaves it out
  std::string_view fixed_body = {};  // in its place: one that lives as long as the program
};

// What only the pool knows.
struct FunctionMetrics {
  std::uint64_t invocations = 0;
  std::uint64_t replicas = 0;
  std::uint64_t available_replicas = 0;
};
using MetricsSource = std::function<FunctionMetrics(const std::string& function_id)>;

// What a space uses that only the loop knows.
struct SpaceLoad {
  std::int64_t replicas = 0;
  std::int64_t memory_mb = 0;
  std::int64_t backlog = 0;
};
using SpaceLoadSource = std::function<SpaceLoad(const std::string& space)>;

// The folders of the code that there are workers of, or may be; nullopt when that cannot be told now.
using CodeInUseSource = std::function<std::optional<std::vector<std::string>>()>;

// What the workers of a version see and may use on this machine, as it is answered.
using SandboxSource = std::function<api::OrderedJson(const registry::Function&, const registry::Version&)>;

// How much of the calls each version gets: [{"version", "percent"}, ...], the active one first; empty while
// there is none.
api::OrderedJson traffic_json(const registry::Function& function);

inline constexpr std::uint64_t kMaxPlainBodyBytes = 1U << 20;

// Any thread; every call blocks on the disk, so none belongs on an event loop.
class Management {
 public:
  // All of them must outlive it; the sources are called on the thread of the request. `max_code_bytes`: of a
  // function's code, unpacked.
  Management(registry::Registry& registry, bundle::BundleStore& bundles, audit::AuditLog& audit,
             api::SpecRules rules, std::uint64_t max_code_bytes, MetricsSource metrics, SpaceLoadSource load,
             SandboxSource sandbox);

  // Told of each request that was refused for a quota of the space, on the thread of the request.
  void on_quota_exceeded(std::function<void(const std::string& space)> told) {
    over_quota_ = std::move(told);
  }

  // Asked on the thread of the request before code is removed. Without it none is in use.
  void ask_code_in_use(CodeInUseSource ask) { code_in_use_ = std::move(ask); }
  // Whether there is code that no version has and that was in use when it was to be removed; it is removed by
  // this, if it is not in use.
  bool keeps_code() const { return keeps_code_; }
  void remove_kept_code();

  // Always answers: failures are problem documents. Finds out what `access_of` cannot tell from the path:
  // whether the caller may do what the body says.
  ManagementReply handle(const ManagementRequest& request);

  // Of a request that may carry code: limits.max_code_bytes in base64, the names of its files, and the
  // settings. Of all others: kMaxPlainBodyBytes.
  std::uint64_t max_body_bytes(std::string_view path, std::string_view method) const;
  // What is said to who sends more.
  Error body_too_large(std::string_view path, std::string_view method) const;

  // Whether the audit log is to keep that the request was refused before its body came, by `refused`; without
  // room, and of what is refused all the time, it keeps the number only. Touches no disk.
  enum class Room : std::uint8_t { kNone, kYes };
  bool admits_refusal(const ManagementRequest& request, int status, const std::string& reason, Room room);
  void refused(const ManagementRequest& request, int status, const std::string& reason);

  // What a caller needs, apart from what the body asks for. Pure: touches neither disk nor members.
  struct Access {
    auth::ScopeSet any_of;
    std::string space;     // empty: of none
    std::string function;  // empty: of none
    bool whole_server = false;
    bool all_functions = false;
    bool open = false;  // needs no token

    auth::Need need() const {
      return {.any_of = any_of,
              .space = space,
              .function = function,
              .whole_server = whole_server,
              .all_functions = all_functions};
    }
  };
  // Of what does not exist: any token.
  static Access access_of(std::string_view path, std::string_view method);

 private:
  using Answer = std::expected<ManagementReply, api::Problem>;
  struct Call {
    const ManagementRequest& request;
    ManagementRoute route;
  };

  // Whether what happens to a space happens to all of its functions.
  enum class Concerns : std::uint8_t { kOne, kAllFunctions };

  struct Method {
    Resource resource;
    std::string_view method;
    auth::ScopeSet any_of;  // empty: needs no token
    Answer (Management::*handler)(const Call&);
    Concerns concerns = Concerns::kOne;
  };
  static std::span<const Method> methods();

  ManagementReply answer(const ManagementRequest& request);
  Answer dispatch(const Call& call);

  // management_spaces.cc
  Answer list_spaces(const Call& call);
  Answer create_space(const Call& call);
  Answer get_space(const Call& call);
  Answer patch_space(const Call& call);
  Answer delete_space(const Call& call);
  Answer get_signing_secret(const Call& call);
  Answer rotate_signing_secret(const Call& call);

  // management_secrets.cc
  Answer list_secrets(const Call& call);
  Answer get_secret(const Call& call);
  Answer put_secret(const Call& call);
  Answer delete_secret(const Call& call);
  // Names in `spec` that the space has no secret for, as field errors. Expects writes_ to be held.
  std::expected<void, api::Problem> check_secrets(std::string_view space, const api::FunctionSpec& spec);

  // management_apps.cc
  Answer list_apps(const Call& call);
  Answer create_app(const Call& call);
  Answer get_app(const Call& call);
  Answer patch_app(const Call& call);
  Answer delete_app(const Call& call);
  Answer rotate_app(const Call& call);

  // management_functions.cc
  Answer list_functions(const Call& call);
  Answer create_function(const Call& call);
  Answer get_function(const Call& call);
  Answer put_function(const Call& call);
  Answer patch_function(const Call& call);
  Answer delete_function(const Call& call);
  Answer stop_function(const Call& call);
  Answer start_function(const Call& call);

  // management_code.cc
  Answer get_code(const Call& call);
  Answer put_code(const Call& call);

  // management_versions.cc
  Answer list_versions(const Call& call);
  Answer get_version(const Call& call);
  Answer diff_versions(const Call& call);
  Answer roll_back(const Call& call);
  Result<bundle::Files> files_of(const registry::Version& version) const;

  // management_traffic.cc
  Answer get_traffic(const Call& call);
  Answer put_traffic(const Call& call);

  // management_audit.cc
  Answer list_audit(const Call& call);
  void record(const ManagementRequest& request, int status, std::string reason);
  void keep(audit::Entry entry, const std::optional<ManagementRoute>& route);

  // management_sandbox.cc
  Answer get_sandbox(const Call& call);

  Answer open_api(const Call& call);

  Result<registry::Listed<registry::Function>> list_of(std::string_view space,
                                                       const std::vector<std::string>& names,
                                                       const api::Page& page);
  ManagementReply function_reply(int status, const registry::Function& function) const;
  api::OrderedJson function_json(const registry::Function& function) const;
  // The space as it is answered, with what it uses.
  Answer space_reply(int status, const registry::Space& space);
  std::int64_t bytes_of(const std::vector<std::string>& hashes);
  Status check_code_bytes(std::string_view space, const std::string& hash);
  // Stores the files and makes `commit` refer to them; a bundle that nothing refers to afterwards is removed
  // again. Conflict `quota_exceeded` when the space has too much code. Expects writes_ to be held.
  template <class Commit>
  auto store_and_commit(std::string_view space, const std::optional<bundle::Files>& files, Commit commit)
      -> decltype(commit(std::optional<std::string>()));
  // Removes code, or keeps it until its workers have ended. Expects writes_ to be held.
  void drop(const registry::Orphans& orphans);
  Answer save(const Call& call, const api::FunctionSpec& spec, const std::optional<bundle::Files>& files);

  registry::Registry& registry_;
  bundle::BundleStore& bundles_;
  audit::AuditLog& audit_;
  const api::SpecRules rules_;
  const std::uint64_t max_code_bytes_;
  const MetricsSource metrics_;
  const SpaceLoadSource load_;
  const SandboxSource sandbox_;
  std::function<void(const std::string&)> over_quota_ = [](const std::string&) {};
  CodeInUseSource code_in_use_ = [] { return std::vector<std::string>(); };
  std::atomic<bool> keeps_code_ = false;  // whether kept_code_ holds any
  // Held while a change is read, merged and committed, and while bundles are written or removed, so that no
  // bundle goes away between its writing and the commit that refers to it.
  std::mutex writes_;
  std::set<std::string> kept_code_;  // guarded by writes_; hashes
};

}  // namespace sterna::gateway
