#include "server/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/ip_address.h"
#include "base/number.h"
#include "callback/allow_list.h"

namespace sterna::server {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr std::array<std::string_view, 2> kAuthWords = {"none", "oauth2"};
constexpr std::array<std::string_view, 4> kLevelWords = {"debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 2> kFormatWords = {"text", "json"};
constexpr std::array<std::string_view, 3> kSandboxWords = {"best_effort", "strict", "off"};
constexpr std::uint64_t kGiB = 1ULL << 30;

std::string check_range(const std::string& value) {
  const auto range = parse_ip_range(value);
  return range ? "" : range.error().detail;
}

std::string check_callback_target(const std::string& value) {
  const auto list = callback::AllowList::parse(std::span(&value, 1));
  return list ? "" : list.error().detail;
}

// Just enough that pip and npm have a server to ask.
std::string check_url(const std::string& value) {
  constexpr const char* kForm = "it begins with http:// or https:// and a host, without spaces";
  const std::size_t host = value.starts_with("http://") ? 7 : value.starts_with("https://") ? 8 : 0;
  const bool has_host = host != 0 && host < value.size() && value[host] != '/' && value[host] != '?';
  const bool plain = std::ranges::all_of(value, [](char c) { return c > ' ' && c < 0x7f; });
  return has_host && plain ? "" : kForm;
}

#define STERNA_FIELD(type, member) (+[](Config& config) -> type& { return config.member; })
#define STERNA_NUMBER(member, min, max)           \
  Number {                                        \
    STERNA_FIELD(std::uint64_t, member), min, max \
  }
#define STERNA_DECIMAL(member, min, max)   \
  Decimal {                                \
    STERNA_FIELD(double, member), min, max \
  }
#define STERNA_SECONDS(member, min, max)         \
  Seconds {                                      \
    STERNA_FIELD(milliseconds, member), min, max \
  }
#define STERNA_CHOICE(member, words)                                                \
  Choice {                                                                          \
    +[](const Config& config) { return static_cast<std::uint8_t>(config.member); }, \
        +[](Config& config, std::uint8_t value) {                                   \
          config.member = static_cast<decltype(config.member)>(value);              \
        },                                                                          \
        words                                                                       \
  }

const std::array kOptions = {
    Option{"listen", HostPort{STERNA_FIELD(Address, listen)},
           "Address to serve on: an IP address or localhost, and a port; port 0 takes a free one."},
    Option{"data_dir", Path{STERNA_FIELD(std::filesystem::path, data_dir)},
           "Folder of the database, bundles, and logs. Default: /var/lib/sterna as root, else "
           "~/.local/share/sterna."},
    Option{"auth", STERNA_CHOICE(auth, kAuthWords),
           "Who may call: none (everyone; only on a loopback address) or oauth2 (tokens)."},
    Option{"token_seconds", STERNA_SECONDS(token_lifetime, 1s, 2'592'000s),
           "How long an access token is good for."},
    Option{"open_metrics", Switch{STERNA_FIELD(bool, open_metrics)},
           "Whether /metrics needs no token. It names the functions of all spaces."},
    Option{"log_level", STERNA_CHOICE(log_level, kLevelWords),
           "Least level of the server's own log, on stderr."},
    Option{"log_format", STERNA_CHOICE(log_format, kFormatWords),
           "One readable line an event, or one JSON object."},
    Option{"drain_seconds", STERNA_SECONDS(drain, 0s, 3600s),
           "How long running calls may take to end after SIGTERM."},
    Option{"spares", STERNA_NUMBER(spares, 0, 64),
           "Prepared, unassigned workers that each runtime keeps, so that cold starts are quick."},
    Option{"python", Words{STERNA_FIELD(std::vector<std::string>, python), "paths", 1},
           "Python interpreters, the first is the default. Default: /usr/bin/python3 and every python3.N (N "
           ">= 10) in "
           "/usr/bin and /usr/local/bin."},
    Option{"node", Words{STERNA_FIELD(std::vector<std::string>, node), "paths", 0},
           "Node interpreters from version 18 on, the first is the default. Default: node in /usr/bin and "
           "/usr/local/bin."},
    Option{"runtime_dir", Path{STERNA_FIELD(std::filesystem::path, runtime_dir)},
           "Folder of the runtimes' worker side. Default: runtimes beside the program, or "
           "../lib/sterna/runtimes."},
    Option{"tls_cert", Path{STERNA_FIELD(std::filesystem::path, tls_cert)},
           "PEM file with the certificate, its chain behind it: the server speaks HTTPS. Read again when it "
           "changes."},
    Option{"tls_key", Path{STERNA_FIELD(std::filesystem::path, tls_key)},
           "PEM file with the key of the certificate."},
    Option{"secrets_key_file", Path{STERNA_FIELD(std::filesystem::path, secrets_key_file)},
           "File of the key that secrets are sealed with; made at the first start. Default: secrets.key in "
           "data_dir."},
    Option{"allow_network_host", Switch{STERNA_FIELD(bool, allow_network_host)},
           "Whether functions may have network host, with which they reach this machine's own services, "
           "those on "
           "loopback too. For code that you trust."},
    Option{"sandbox", STERNA_CHOICE(sandbox, kSandboxWords),
           "What happens when this machine cannot enforce a part of the sandbox: best_effort (the log says "
           "what is missing) "
           "or strict (the server does not start). With off there is no sandbox, and functions can do what "
           "a user of the machine can: for development and for comparison, only on a loopback address."},
    Option{
        "egress_private",
        Words{STERNA_FIELD(std::vector<std::string>, egress_private), "addresses or CIDRs", 0, check_range},
        "Private targets that functions may name in limits.egress_allow, and that builds reach, e.g. "
        "10.1.0.0/16. Without "
        "them functions reach public addresses only."},
    Option{"callback_allow",
           Words{STERNA_FIELD(std::vector<std::string>, callback_allow), "addresses, CIDRs or host names", 0,
                 check_callback_target},
           "Private targets that callbacks of all spaces may go to, e.g. 127.0.0.0/8 or hooks.internal; "
           "public ones are always allowed."},
    Option{"limits.max_body_bytes", STERNA_NUMBER(limits.max_body_bytes, 1, kGiB),
           "Largest request body of an invocation; above it 413 body_too_large. Functions may set less."},
    Option{"limits.max_code_bytes", STERNA_NUMBER(limits.max_code_bytes, 1, 4 * kGiB),
           "Largest code of a function, unpacked; above it 413 bundle_too_large."},
    Option{"limits.max_path_levels", STERNA_NUMBER(limits.max_path_levels, 0, 64),
           "Path levels after /invoke; deeper is 404 path_too_deep."},
    Option{"limits.queue_wait_seconds", STERNA_SECONDS(limits.queue_wait, 0s, 3600s),
           "How long a call waits for a worker before 429 no_capacity."},
    Option{"limits.queue_length", STERNA_NUMBER(limits.queue_length, 0, 1'000'000),
           "Calls of one function that may wait for a worker; more are 429 no_capacity."},
    Option{"limits.max_header_bytes", STERNA_NUMBER(limits.max_header_bytes, 1024, 64ULL << 10),
           "Largest request line and headers together; above it 431."},
    Option{"limits.max_connections", STERNA_NUMBER(limits.max_connections, 1, 1'000'000),
           "Open client connections. With more, one that is idle or slow is closed, or the new one is "
           "answered with 503."},
    Option{"limits.max_connections_per_client",
           STERNA_NUMBER(limits.max_connections_per_client, 1, 1'000'000),
           "Open connections of one client: an IPv4 address, or an IPv6 network of 64 bits. Further ones are "
           "answered with 503. Clients on loopback, such as a proxy, are not counted."},
    Option{"limits.max_concurrent_streams", STERNA_NUMBER(limits.max_concurrent_streams, 1, 10'000),
           "Requests at a time on one HTTP/2 connection."},
    Option{"limits.header_timeout_seconds", STERNA_SECONDS(limits.header_timeout, 1ms, 3600s),
           "How long a client may take to send a request's line and headers."},
    Option{"limits.body_timeout_seconds", STERNA_SECONDS(limits.body_timeout, 1ms, 3600s),
           "How long a client may take between two parts of a body."},
    Option{"limits.keepalive_seconds", STERNA_SECONDS(limits.keepalive, 1ms, 86400s),
           "How long an idle connection is kept open."},
    Option{"limits.function_log_bytes", STERNA_NUMBER(limits.function_log_bytes, 64ULL << 10, 64 * kGiB),
           "Logs kept on disk for each function; the oldest go first."},
    Option{"limits.total_log_bytes", STERNA_NUMBER(limits.total_log_bytes, 1ULL << 20, 1024 * kGiB),
           "Logs kept on disk for all functions together. Beyond it the oldest go of the function that has "
           "most, in the space that has most."},
    Option{"limits.kept_versions", STERNA_NUMBER(limits.kept_versions, 1, 1000),
           "Versions of a function that can be looked at and gone back to: the newest, and the one that "
           "runs; older ones are removed when the function changes."},
    Option{"limits.max_replicas_total", STERNA_NUMBER(limits.max_replicas_total, 1, 100'000),
           "Workers of all functions together."},
    Option{
        "limits.io_mb_per_second", STERNA_NUMBER(limits.io_mb_per_second, 0, 1ULL << 20),
        "What one worker, or one build, may read from each disk, and write to it, in a second; 0: no limit."},
    Option{"limits.space_requests_per_second", STERNA_DECIMAL(limits.space_requests_per_second, 0, 1e6),
           "Invocations of a space in a second that has no rate_limit of its own; more are 429 rate_limited. "
           "0: no limit."},
    Option{"limits.space_burst", STERNA_NUMBER(limits.space_burst, 0, 1'000'000),
           "How many of them may come at once. 0: those of one second."},
    Option{"limits.space_bytes_per_second", STERNA_NUMBER(limits.space_bytes_per_second, 0, 1ULL << 40),
           "Bytes of bodies, in and out of the invocations of a space, in a second. 0: no limit."},
    Option{"limits.app_requests_per_second", STERNA_DECIMAL(limits.app_requests_per_second, 0, 1e6),
           "Requests of an app in a second that has no rate_limit of its own, invocations and management. "
           "0: no limit."},
    Option{"limits.app_burst", STERNA_NUMBER(limits.app_burst, 0, 1'000'000),
           "How many of them may come at once. 0: those of one second."},
    Option{"limits.app_bytes_per_second", STERNA_NUMBER(limits.app_bytes_per_second, 0, 1ULL << 40),
           "Bytes of bodies, in and out of the invocations by an app, in a second. 0: no limit."},
    Option{"limits.space_functions", STERNA_NUMBER(limits.space_functions, 0, 1'000'000),
           "Functions of a space that has no quota of its own; more are 409 quota_exceeded. 0: no limit."},
    Option{"limits.space_replicas", STERNA_NUMBER(limits.space_replicas, 0, 1'000'000),
           "Workers of all functions of a space together; calls wait when it has as many. 0: no limit."},
    Option{"limits.space_memory_mb", STERNA_NUMBER(limits.space_memory_mb, 0, 1ULL << 40),
           "limits.memory_mb of all workers of a space together. 0: no limit."},
    Option{"limits.space_code_bytes", STERNA_NUMBER(limits.space_code_bytes, 0, 1ULL << 50),
           "Code of all kept versions of the functions of a space, unpacked. 0: no limit."},
    Option{"limits.space_secrets", STERNA_NUMBER(limits.space_secrets, 0, 1'000'000),
           "Secrets of a space. 0: no limit."},
    Option{"limits.space_apps", STERNA_NUMBER(limits.space_apps, 0, 1'000'000),
           "Apps of a space. 0: no limit."},
    Option{"limits.failed_logins_per_minute", STERNA_NUMBER(limits.failed_logins_per_minute, 0, 1'000'000),
           "Bad client secrets, and bad tokens, that one address may send in a minute; more are 429. 0: any "
           "number."},
    Option{"async.function_backlog", STERNA_NUMBER(async.function_backlog, 1, 100'000'000),
           "Asynchronous invocations of one function that may wait; more are 429 backlog_full."},
    Option{"async.space_backlog", STERNA_NUMBER(async.space_backlog, 1, 100'000'000),
           "Asynchronous invocations of all functions of a space that may wait."},
    Option{"async.keep_settled_seconds", STERNA_SECONDS(async.keep, 1s, 31'536'000s),
           "How long ended invocations can be looked at, redriven and redelivered."},
    Option{"async.keep_settled_bytes", STERNA_NUMBER(async.keep_bytes, 1ULL << 20, 1024 * kGiB),
           "Size of the queue's database, without what waits to be run, above which ended invocations go "
           "earlier, the oldest first."},
    Option{"async.max_result_bytes", STERNA_NUMBER(async.max_result_bytes, 1024, kGiB),
           "Largest output of an asynchronous invocation."},
    Option{"build.timeout_seconds", STERNA_SECONDS(build.timeout, 1s, 86400s),
           "How long one build may take."},
    Option{"build.memory_mb", STERNA_NUMBER(build.memory_mb, 64, 1ULL << 20), "Memory of one build."},
    Option{"build.disk_mb", STERNA_NUMBER(build.disk_mb, 1, 1ULL << 20),
           "Disk that one build may fill, with what it downloads."},
    Option{"build.cpus", STERNA_NUMBER(build.cpus, 1, 1024), "Processors that one build may use."},
    Option{"build.max_pids", STERNA_NUMBER(build.max_pids, 16, 100'000),
           "Processes and threads of one build."},
    Option{
        "build.parallel", STERNA_NUMBER(build.parallel, 1, 64),
        "Builds that run at a time; further ones wait, and spaces take turns. The last place is kept for a "
        "space that has no build under way, unless this is 1."},
    Option{
        "build.cache_mb", STERNA_NUMBER(build.cache_mb, 0, 1ULL << 30),
        "What builds made stays for functions that need the same, up to this size; what was used longest ago "
        "goes first."},
    Option{"build.log_bytes", STERNA_NUMBER(build.log_bytes, 16ULL << 10, kGiB),
           "Log kept of one build: its beginning and its end."},
    Option{"build.pip_index_url", Text{STERNA_FIELD(std::string, build.pip_index_url), "a URL", check_url},
           "Index that pip asks for packages. Empty: pip's own."},
    Option{"build.wheels_dir", Path{STERNA_FIELD(std::filesystem::path, build.wheels_dir)},
           "Folder of wheels that pip may take beside the index. Default: none."},
    Option{"build.npm_registry", Text{STERNA_FIELD(std::string, build.npm_registry), "a URL", check_url},
           "Registry that npm asks for packages. Empty: npm's own."},
    Option{"build.cxx", Path{STERNA_FIELD(std::filesystem::path, build.cxx)},
           "C++ compiler. Default: c++, g++, clang++ or the newest clang++-N in /usr/bin."},
    Option{"build.offline", Switch{STERNA_FIELD(bool, build.offline)},
           "Builds get no network: pip takes wheels only, npm nothing that is not in the code."},
};

#undef STERNA_FIELD
#undef STERNA_NUMBER
#undef STERNA_DECIMAL
#undef STERNA_SECONDS
#undef STERNA_CHOICE

template <class... Cases>
struct Match : Cases... {
  using Cases::operator()...;
};

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\u{:04X}", byte);
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

double to_seconds(milliseconds value) {
  return static_cast<double>(value.count()) / 1000.0;
}

std::unexpected<Error> refuse(const Setting& setting, std::string_view value, std::string_view wanted) {
  return fail(Code::kInvalid, Component::kGateway, "bad_config",
              fmt::format("{} is {}, which is not {}", setting.where, toml_string(value), wanted));
}

Status check_value(Check check, const Setting& setting, const std::string& value, std::string_view form) {
  if (check == nullptr) return {};
  const std::string wrong = check(value);
  return wrong.empty() ? Status() : refuse(setting, value, fmt::format("{}: {}", form, wrong));
}

Status set_number(const Number& kind, Config& config, const Setting& setting, const std::string& value,
                  const std::string& form) {
  const auto number = parse_number<std::uint64_t>(value);
  if (!number || *number < kind.min || *number > kind.max) return refuse(setting, value, form);
  kind.field(config) = *number;
  return {};
}

Status set_decimal(const Decimal& kind, Config& config, const Setting& setting, const std::string& value,
                   const std::string& form) {
  const auto number = parse_number<double>(value);
  if (!number || !(*number >= kind.min && *number <= kind.max)) return refuse(setting, value, form);
  kind.field(config) = *number;
  return {};
}

Status set_seconds(const Seconds& kind, Config& config, const Setting& setting, const std::string& value,
                   const std::string& form) {
  const auto seconds = parse_number<double>(value);
  if (!seconds || !(*seconds >= to_seconds(kind.min) && *seconds <= to_seconds(kind.max)))
    return refuse(setting, value, form);
  kind.field(config) = milliseconds(std::llround(*seconds * 1000.0));
  return {};
}

Status set_switch(const Switch& kind, Config& config, const Setting& setting, const std::string& value,
                  const std::string& form) {
  if (value != "true" && value != "false") return refuse(setting, value, form);
  kind.field(config) = value == "true";
  return {};
}

Status set_choice(const Choice& kind, Config& config, const Setting& setting, const std::string& value,
                  const std::string& form) {
  const auto* found = std::ranges::find(kind.words, value).base();
  if (found == kind.words.data() + kind.words.size()) return refuse(setting, value, form);
  kind.set(config, static_cast<std::uint8_t>(found - kind.words.data()));
  return {};
}

// The name of an option where there are no sections, with underscores.
std::string plain_name(std::string_view key) {
  std::string name(key.starts_with("build.") ? key : key.substr(key.rfind('.') + 1));
  std::ranges::replace(name, '.', '_');
  return name;
}

}  // namespace

std::span<const Option> options() {
  return kOptions;
}

const Option* find_option(std::string_view key) {
  const auto* found = std::ranges::find(kOptions, key, &Option::key);
  return found == kOptions.end() ? nullptr : found;
}

std::string variable_of(const Option& option) {
  std::string name = "STERNA_";
  for (char c : plain_name(option.key)) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

std::string flag_of(const Option& option) {
  std::string name = "--";
  for (char c : plain_name(option.key)) name += c == '_' ? '-' : c;
  return name;
}

std::string form_of(const Option& option) {
  return std::visit(
      Match{
          [](const Number& kind) { return fmt::format("a number from {} to {}", kind.min, kind.max); },
          [](const Decimal& kind) { return fmt::format("a number from {} to {}", kind.min, kind.max); },
          [](const Seconds& kind) {
            return fmt::format("seconds from {} to {}", to_seconds(kind.min), to_seconds(kind.max));
          },
          [](const Switch&) { return std::string("true or false"); },
          [](const Text& kind) { return std::string(kind.form); },
          [](const Path&) { return std::string("a path"); },
          [](const Words& kind) { return std::string(kind.form); },
          [](const HostPort&) { return std::string("host:port"); },
          [](const Choice& kind) { return fmt::format("{}", fmt::join(kind.words, " or ")); },
      },
      option.kind);
}

Status set_option(const Option& option, Config& config, const Setting& setting) {
  if (const auto* words = std::get_if<Words>(&option.kind)) {
    if (setting.values.size() < words->least) return refuse(setting, "", words->form);
    for (const std::string& value : setting.values) {
      if (auto good = check_value(words->check, setting, value, words->form); !good) return good;
    }
    words->field(config) = setting.values;
    return {};
  }
  const std::string form = form_of(option);
  if (setting.values.size() != 1)
    return refuse(setting, fmt::format("{}", fmt::join(setting.values, ",")), form);
  const std::string& value = setting.values.front();
  return std::visit(Match{
                        [&](const Number& kind) { return set_number(kind, config, setting, value, form); },
                        [&](const Decimal& kind) { return set_decimal(kind, config, setting, value, form); },
                        [&](const Seconds& kind) { return set_seconds(kind, config, setting, value, form); },
                        [&](const Switch& kind) { return set_switch(kind, config, setting, value, form); },
                        [&](const Choice& kind) { return set_choice(kind, config, setting, value, form); },
                        [&](const Text& kind) -> Status {
                          if (!value.empty()) {
                            if (auto good = check_value(kind.check, setting, value, form); !good) return good;
                          }
                          kind.field(config) = value;
                          return {};
                        },
                        [&](const Path& kind) -> Status {
                          if (value.empty()) return refuse(setting, value, form);
                          kind.field(config) = value;
                          return {};
                        },
                        [&](const HostPort& kind) -> Status {
                          auto address = parse_address(value);
                          if (!address) return refuse(setting, value, address.error().detail);
                          kind.field(config) = *address;
                          return {};
                        },
                        [](const Words&) -> Status { return {}; },
                    },
                    option.kind);
}

std::string show_option(const Option& option, const Config& config) {
  Config copy = config;
  return std::visit(Match{
                        [&](const Number& kind) { return fmt::format("{}", kind.field(copy)); },
                        [&](const Decimal& kind) { return fmt::format("{}", kind.field(copy)); },
                        [&](const Seconds& kind) { return fmt::format("{}", to_seconds(kind.field(copy))); },
                        [&](const Switch& kind) { return std::string(kind.field(copy) ? "true" : "false"); },
                        [&](const Text& kind) { return toml_string(kind.field(copy)); },
                        [&](const Path& kind) { return toml_string(kind.field(copy).native()); },
                        [&](const HostPort& kind) { return toml_string(to_string(kind.field(copy))); },
                        [&](const Choice& kind) { return toml_string(kind.words[kind.get(copy)]); },
                        [&](const Words& kind) {
                          std::vector<std::string> items;
                          for (const auto& path : kind.field(copy)) items.push_back(toml_string(path));
                          return fmt::format("[{}]", fmt::join(items, ", "));
                        },
                    },
                    option.kind);
}

std::string options_markdown() {
  const Config defaults;
  std::string out = "| in the file | flag | variable | value | default | |\n|---|---|---|---|---|---|\n";
  for (const auto& option : kOptions) {
    const bool depends_on_machine =
        std::holds_alternative<Path>(option.kind) || option.key == "python" || option.key == "node";
    out += fmt::format("| `{}` | `{}` | `{}` | {} | {} | {} |\n", option.key, flag_of(option),
                       variable_of(option), form_of(option),
                       depends_on_machine ? "below" : fmt::format("`{}`", show_option(option, defaults)),
                       option.help);
  }
  return out;
}

}  // namespace sterna::server
