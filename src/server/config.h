// Every setting of `sterna serve`, from defaults, a file, the environment, and flags, each overriding the one
// before.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/quota.h"
#include "base/error.h"
#include "base/ip_address.h"
#include "base/log.h"
#include "base/rate_limit.h"

namespace sterna::server {

enum class Auth : std::uint8_t { kNone, kOauth2 };

// What to do when this machine cannot enforce a part of the sandbox.
enum class SandboxMode : std::uint8_t {
  kBestEffort,  // say so at the start
  kStrict,      // do not start
  kOff,         // there is no sandbox: for development and comparison, on loopback only
};

struct Address {
  std::string host = "127.0.0.1";  // an IP address, without brackets
  std::uint16_t port = 8080;       // 0: any free one

  bool operator==(const Address&) const = default;
};

struct Limits {
  std::uint64_t max_body_bytes = 6ULL << 20;
  std::uint64_t max_code_bytes = 64ULL << 20;
  std::uint64_t max_header_bytes = 32ULL << 10;
  std::uint64_t max_path_levels = 3;
  std::uint64_t max_connections = 10'000;
  std::uint64_t max_connections_per_client = 2'500;  // of one address, but for loopback
  std::uint64_t max_concurrent_streams = 128;        // requests at a time on one HTTP/2 connection
  std::uint64_t max_replicas_total = 64;
  std::uint64_t io_mb_per_second = 256;  // of one worker, from each disk and to it; 0: no limit
  std::uint64_t queue_length = 1'000;    // waiting calls of one function
  std::uint64_t function_log_bytes = 4ULL << 20;
  std::uint64_t total_log_bytes = 1ULL << 30;  // of all functions
  std::uint64_t kept_versions = 10;            // of one function
  double space_requests_per_second = 0;        // these six: 0 is no limit
  std::uint64_t space_burst = 0;               // 0: those of one second
  std::uint64_t space_bytes_per_second = 0;
  double app_requests_per_second = 0;
  std::uint64_t app_burst = 0;
  std::uint64_t app_bytes_per_second = 0;
  std::uint64_t space_functions = 0;  // these six: 0 is no limit
  std::uint64_t space_replicas = 0;
  std::uint64_t space_memory_mb = 0;
  std::uint64_t space_code_bytes = 0;
  std::uint64_t space_secrets = 0;
  std::uint64_t space_apps = 0;
  std::uint64_t failed_logins_per_minute = 60;  // from one address; 0: any number
  std::chrono::milliseconds queue_wait{10'000};
  std::chrono::milliseconds header_timeout{10'000};  // for a whole request head
  std::chrono::milliseconds body_timeout{60'000};    // without a byte
  std::chrono::milliseconds keepalive{75'000};       // an idle connection
};

struct AsyncLimits {
  std::uint64_t function_backlog = 2'000'000;
  std::uint64_t space_backlog = 5'000'000;
  std::chrono::milliseconds keep = std::chrono::hours(24);
  std::uint64_t keep_bytes = 2ULL << 30;
  std::uint64_t max_result_bytes = 64ULL << 20;
};

struct BuildConfig {
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
  std::uint64_t memory_mb = 1024;
  std::uint64_t disk_mb = 2048;
  std::uint64_t cpus = 2;
  std::uint64_t max_pids = 256;
  std::uint64_t parallel = 3;
  std::uint64_t cache_mb = 4096;
  std::uint64_t log_bytes = 1ULL << 20;
  std::string pip_index_url;         // empty: pip's own
  std::filesystem::path wheels_dir;  // empty: none
  std::string npm_registry;          // empty: npm's own
  std::filesystem::path cxx;         // empty: none was found
  bool offline = false;
};

struct Config {
  Address listen;
  std::filesystem::path data_dir;
  Auth auth = Auth::kOauth2;
  std::chrono::milliseconds token_lifetime = std::chrono::hours(1);
  bool open_metrics = false;  // /metrics needs no token
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kText;
  std::chrono::milliseconds drain{30'000};
  std::uint64_t spares = 2;         // prepared, unassigned children of each zygote
  std::vector<std::string> python;  // interpreters, the first is the default
  std::vector<std::string> node;    // likewise; may be empty
  std::filesystem::path runtime_dir;
  std::filesystem::path secrets_key_file;  // empty: secrets.key in data_dir
  std::filesystem::path tls_cert;          // empty: plain HTTP
  std::filesystem::path tls_key;
  bool allow_network_host = false;  // functions with `network: host` see the machine's own network
  SandboxMode sandbox = SandboxMode::kBestEffort;
  std::vector<std::string> egress_private;  // private targets that functions may name in limits.egress_allow
  std::vector<std::string> callback_allow;
  Limits limits;
  AsyncLimits async;
  BuildConfig build;
};

// What the defaults depend on.
struct Machine {
  bool is_root = false;
  std::filesystem::path home;
  std::filesystem::path executable;  // of the running program
  std::vector<std::string> pythons;  // interpreters found, without duplicates
  std::vector<std::string> nodes;
  std::filesystem::path cxx;  // a C++ compiler

  static Machine here();
};

// One value from one source.
struct Setting {
  std::string key;                  // as in the file, e.g. "limits.max_body_bytes"
  std::vector<std::string> values;  // one, or any number for a list
  std::string where;                // for messages: "sterna.toml line 3: listen", "STERNA_LISTEN", "--listen"
};

Config default_config(const Machine& machine);

// Applies `settings` in order over `config`. Fails with invalid, reason `bad_config`, naming place and
// remedy.
Status apply_settings(Config& config, std::span<const Setting> settings);

// What cannot be told from one setting alone. Fails with invalid, reason `bad_config`.
Status validate(const Config& config);

// `egress_private`, which validate has checked.
std::vector<IpRange> private_targets(const Config& config);

// What spaces and apps may ask for that have no limit of their own.
RateLimit space_rate_limit(const Config& config);
RateLimit app_rate_limit(const Config& config);
api::Quota space_quota(const Config& config);

// With all paths seen from `here`: zygotes and workers have working directories of their own. Fails with
// invalid, reason `bad_config`, when `here` is empty, a folder that is gone, and a path is relative.
Result<Config> with_absolute_paths(Config config, const std::filesystem::path& here);

// Reads a TOML file into settings; unknown keys fail with file, line, and key.
Result<std::vector<Setting>> read_settings_file(const std::filesystem::path& file);

// The STERNA_* variables that name an option. `lookup` is getenv, or a test's.
std::vector<Setting> settings_from_environment(const char* (*lookup)(const char*));

// Names of the STERNA_* variables in `environment` ("NAME=value", the last one null) that name no option and
// are none of `others`.
std::vector<std::string> unknown_variables(const char* const* environment,
                                           std::span<const std::string_view> others);

// "127.0.0.1:8080", "[::1]:0", "localhost:8080".
Result<Address> parse_address(std::string_view text);
std::string to_string(const Address& address);
bool is_loopback(const Address& address);

// All settings as a file that read_settings_file accepts.
std::string to_toml(const Config& config);

}  // namespace sterna::server
