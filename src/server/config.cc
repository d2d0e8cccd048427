#include "server/config.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/number.h"
#include "server/options.h"

namespace sterna::server {
namespace {

constexpr std::size_t kMaxPrivateTargets = 64;

namespace fs = std::filesystem;

std::unexpected<Error> bad_config(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_config", std::move(detail));
}

// Adds `candidate` when it exists and is not another name of one that is there.
void add_interpreter(std::vector<std::string>& found, std::vector<fs::path>& real,
                     const fs::path& candidate) {
  std::error_code error;
  const fs::path target = fs::canonical(candidate, error);
  if (error || std::ranges::find(real, target) != real.end()) return;
  real.push_back(target);
  found.push_back(candidate.native());
}

std::vector<std::string> find_pythons() {
  constexpr int kOldestMinor = 10;  // what the worker's native part is built for
  constexpr int kNewestMinor = 40;
  std::vector<std::string> found;
  std::vector<fs::path> real;
  add_interpreter(found, real, "/usr/bin/python3");
  for (const char* folder : {"/usr/bin", "/usr/local/bin"}) {
    for (int minor = kOldestMinor; minor <= kNewestMinor; ++minor) {
      add_interpreter(found, real, fs::path(folder) / fmt::format("python3.{}", minor));
    }
  }
  return found;
}

std::vector<std::string> find_nodes() {
  std::vector<std::string> found;
  std::vector<fs::path> real;
  for (const char* folder : {"/usr/bin", "/usr/local/bin"})
    add_interpreter(found, real, fs::path(folder) / "node");
  return found;
}

fs::path find_cxx() {
  constexpr int kOldestClang = 14;
  constexpr int kNewestClang = 40;
  std::vector<std::string> names = {"c++", "g++", "clang++"};
  for (int version = kNewestClang; version >= kOldestClang; --version)
    names.push_back(fmt::format("clang++-{}", version));
  for (const std::string& name : names) {
    if (fs::path candidate = fs::path("/usr/bin") / name; ::access(candidate.c_str(), X_OK) == 0)
      return candidate;
  }
  return {};
}

fs::path find_runtimes(const fs::path& executable) {
  const fs::path folder = executable.parent_path();
  std::error_code error;
  if (fs::path beside = folder / "runtimes"; fs::is_directory(beside, error)) return beside;
  return folder.parent_path() / "lib" / "sterna" / "runtimes";
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const auto comma = text.find(',');
    if (comma != 0) items.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return items;
}

}  // namespace

Machine Machine::here() {
  Machine machine;
  machine.is_root = geteuid() == 0;
  if (const char* home = std::getenv("HOME")) machine.home = home;
  std::error_code error;
  machine.executable = fs::read_symlink("/proc/self/exe", error);
  machine.pythons = find_pythons();
  machine.nodes = find_nodes();
  machine.cxx = find_cxx();
  return machine;
}

Config default_config(const Machine& machine) {
  Config config;
  if (machine.is_root) {
    config.data_dir = "/var/lib/sterna";
  } else if (!machine.home.empty()) {
    config.data_dir = machine.home / ".local/share/sterna";
  }
  config.python = machine.pythons;
  config.node = machine.nodes;
  config.build.cxx = machine.cxx;
  config.runtime_dir = find_runtimes(machine.executable);
  return config;
}

Status apply_settings(Config& config, std::span<const Setting> settings) {
  for (const auto& setting : settings) {
    const Option* option = find_option(setting.key);
    if (option == nullptr) return bad_config(fmt::format("{} is not a known setting", setting.where));
    if (auto set = set_option(*option, config, setting); !set) return set;
  }
  return {};
}

Status validate(const Config& config) {
  if (config.auth == Auth::kNone && !is_loopback(config.listen)) {
    return bad_config(fmt::format(
        "auth none lets everyone in who can connect, so it is refused on {}; listen on a loopback address "
        "(--listen 127.0.0.1:{}), or start with --auth oauth2",
        to_string(config.listen), config.listen.port));
  }
  if (config.sandbox == SandboxMode::kOff && !is_loopback(config.listen)) {
    return bad_config(fmt::format(
        "sandbox off puts no walls around functions, so it is refused on {}; listen on a loopback address "
        "(--listen 127.0.0.1:{}), or start with --sandbox best_effort",
        to_string(config.listen), config.listen.port));
  }
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    return bad_config(fmt::format("{} is set and {} is not: HTTPS needs both",
                                  config.tls_cert.empty() ? "tls_key" : "tls_cert",
                                  config.tls_cert.empty() ? "tls_cert" : "tls_key"));
  }
  if (config.data_dir.empty())
    return bad_config("data_dir is not set, and neither is HOME, where it would be: name one (--data-dir)");
  if (!config.data_dir.is_absolute() && config.data_dir.native().starts_with("~")) {
    return bad_config(
        fmt::format("data_dir is {}: write the path out, ~ is not expanded", config.data_dir.native()));
  }
  if (config.egress_private.size() > kMaxPrivateTargets)
    return bad_config(fmt::format("egress_private has at most {} entries", kMaxPrivateTargets));
  if (config.python.empty()) {
    return bad_config("no Python interpreter was found; install python3 or name one with --python");
  }
  return {};
}

std::vector<IpRange> private_targets(const Config& config) {
  std::vector<IpRange> ranges;
  for (const std::string& target : config.egress_private) {
    if (const auto range = parse_ip_range(target)) ranges.push_back(*range);
  }
  return ranges;
}

RateLimit space_rate_limit(const Config& config) {
  return {.requests_per_second = config.limits.space_requests_per_second,
          .burst = static_cast<std::int64_t>(config.limits.space_burst),
          .bytes_per_second = static_cast<std::int64_t>(config.limits.space_bytes_per_second)};
}

RateLimit app_rate_limit(const Config& config) {
  return {.requests_per_second = config.limits.app_requests_per_second,
          .burst = static_cast<std::int64_t>(config.limits.app_burst),
          .bytes_per_second = static_cast<std::int64_t>(config.limits.app_bytes_per_second)};
}

api::Quota space_quota(const Config& config) {
  const auto number = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  return {.functions = number(config.limits.space_functions),
          .replicas = number(config.limits.space_replicas),
          .memory_mb = number(config.limits.space_memory_mb),
          .backlog = number(config.async.space_backlog),
          .code_bytes = number(config.limits.space_code_bytes),
          .secrets = number(config.limits.space_secrets),
          .apps = number(config.limits.space_apps)};
}

Result<Config> with_absolute_paths(Config config, const fs::path& here) {
  std::string lost;  // a path that stands on a folder that is gone
  const auto absolute = [&](const fs::path& path) {
    if (here.empty() && !path.is_absolute()) lost = path.native();
    return (here / path).lexically_normal();
  };
  if (config.secrets_key_file.empty()) config.secrets_key_file = config.data_dir / "secrets.key";
  for (fs::path* path : {&config.data_dir, &config.runtime_dir, &config.secrets_key_file, &config.tls_cert,
                         &config.tls_key, &config.build.wheels_dir, &config.build.cxx}) {
    if (!path->empty()) *path = absolute(*path);
  }
  for (std::vector<std::string>* interpreters : {&config.python, &config.node}) {
    for (std::string& each : *interpreters) {
      if (each.contains('/')) each = absolute(each);
    }
  }
  if (!lost.empty())
    return bad_config(
        fmt::format("the working directory is gone, and {} stands on it: write the path out", lost));
  return config;
}

std::vector<Setting> settings_from_environment(const char* (*lookup)(const char*)) {
  std::vector<Setting> settings;
  for (const auto& option : options()) {
    std::string name = variable_of(option);
    const char* value = lookup(name.c_str());
    if (value == nullptr) continue;
    const bool is_list = std::holds_alternative<Words>(option.kind);
    settings.push_back({std::string(option.key),
                        is_list ? split_list(value) : std::vector<std::string>{value}, std::move(name)});
  }
  return settings;
}

std::vector<std::string> unknown_variables(const char* const* environment,
                                           std::span<const std::string_view> others) {
  std::vector<std::string> unknown;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    const std::string_view name = entry.substr(0, entry.find('='));
    if (!name.starts_with("STERNA_") || std::ranges::find(others, name) != others.end()) continue;
    if (std::ranges::find(options(), name, variable_of) == options().end()) unknown.emplace_back(name);
  }
  return unknown;
}

Result<Address> parse_address(std::string_view text) {
  constexpr const char* kForm = "host:port, where host is an IP address (IPv6 in brackets) or localhost";
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad_config(kForm);
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);

  // Every name but this one could mean another address tomorrow.
  Address address{.host = host == "localhost" ? "127.0.0.1" : std::string(host)};
  const auto number = parse_number<std::uint16_t>(port);
  if (!number) return bad_config(kForm);
  address.port = *number;

  in6_addr parsed{};
  const bool good = bracketed ? inet_pton(AF_INET6, address.host.c_str(), &parsed) == 1
                              : inet_pton(AF_INET, address.host.c_str(), &parsed) == 1;
  if (!good) return bad_config(kForm);
  return address;
}

std::string to_string(const Address& address) {
  const bool is_v6 = address.host.find(':') != std::string::npos;
  return fmt::format(fmt::runtime(is_v6 ? "[{}]:{}" : "{}:{}"), address.host, address.port);
}

bool is_loopback(const Address& address) {
  in_addr v4{};
  if (inet_pton(AF_INET, address.host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, address.host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string to_toml(const Config& config) {
  std::string out;
  std::string_view section;
  for (const auto& option : options()) {
    const auto dot = option.key.find('.');
    const std::string_view own_section = dot == std::string_view::npos ? "" : option.key.substr(0, dot);
    if (own_section != section) out += fmt::format("\n[{}]\n", own_section);
    section = own_section;
    const std::string value = show_option(option, config);
    // A path that is unset: there is none, or it follows from data_dir.
    if (std::holds_alternative<Path>(option.kind) && value == R"("")") continue;
    const std::string_view name = dot == std::string_view::npos ? option.key : option.key.substr(dot + 1);
    out += fmt::format("{} = {}\n", name, value);
  }
  return out;
}

}  // namespace sterna::server
