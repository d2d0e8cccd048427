#include "server/runtimes.h"

#include <unistd.h>

#include <filesystem>
#include <set>
#include <string_view>

#include "api/function_json.h"
#include "api/templates.h"
#include "build/build_run.h"
#include "bundle/source.h"
#include "server/node_version.h"
#include "server/worker_secrets.h"

namespace sterna::server {
namespace {

// Imports by path alone: neither the working directory nor the environment can put other modules in front.
constexpr const char* kStartZygote =
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import sterna_worker.__main__";

const std::vector<std::string> kEnvironment = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
                                               "HOME=/tmp"};

// "3.11", as the file is called that the path leads to (/usr/bin/python3 is a link to python3.11); empty when
// it is not called so or cannot be run.
std::string python_version(const std::string& interpreter) {
  constexpr std::string_view kPrefix = "python";
  std::error_code failed;
  const std::string name = std::filesystem::canonical(interpreter, failed).filename();
  if (failed || ::access(interpreter.c_str(), X_OK) != 0 || !name.starts_with(kPrefix)) return {};
  const std::string version = name.substr(kPrefix.size());
  const bool is_version = version.starts_with("3.") && version.size() > 2 &&
                          version.find_first_not_of("0123456789", 2) == std::string::npos;
  return is_version ? version : std::string();
}

launch::RuntimeCommand python_command(const std::string& interpreter, const Config& config) {
  return {.argv = {interpreter, "-I", "-B", "-c", kStartZygote, (config.runtime_dir / "python").string(),
                   "zygote", "--control-fd", std::to_string(zygote::kControlFd)},
          .env = kEnvironment};
}

// Templates that sterna-native serves.
constexpr std::string_view kNativeTemplates[] = {"command", "cpp", "http", "lambda"};
constexpr const char* kNative = "native";

// Builds are other users of the machine.
bool is_open_folder(const std::filesystem::path& path) {
  using std::filesystem::perms;
  constexpr perms kNeeded = perms::others_read | perms::others_exec;
  std::error_code unknown;
  const auto status = std::filesystem::status(path, unknown);
  return std::filesystem::is_directory(status) && (status.permissions() & kNeeded) == kNeeded;
}

// Where an interpreter and its library are: /opt/python for /opt/python/bin/python3.13.
std::string prefix_of(const std::string& interpreter) {
  std::error_code failed;
  return std::filesystem::canonical(interpreter, failed).parent_path().parent_path();
}

void add_native(const Config& config, Runtimes& runtimes, std::vector<std::string>& warnings) {
  const std::string program = config.runtime_dir / kNative / "sterna-native";
  if (::access(program.c_str(), X_OK) != 0) {
    warnings.push_back("the native runtime " + program + " is not there: its templates are left out");
    return;
  }
  runtimes.commands.emplace(
      kNative, launch::RuntimeCommand{.argv = {program, "zygote", std::to_string(zygote::kControlFd)},
                                      .env = kEnvironment});
  for (const std::string_view name : kNativeTemplates) runtimes.runtime_of.emplace(name, kNative);
  // Builds see what functions do not: the folder of wheels, and every interpreter.
  launch::RuntimeCommand builds = runtimes.commands.at(kNative);
  builds.keeps_spares = false;
  const auto bind = [&](const std::string& source, std::string_view target) {
    builds.argv.insert(builds.argv.end(), {source, std::string(target)});
  };
  std::set<std::string> prefixes;
  for (const auto& [runtime, interpreter] : runtimes.interpreters) {
    const std::string prefix = prefix_of(interpreter);
    if (!prefix.starts_with("/usr") && prefixes.insert(prefix).second) bind(prefix, prefix);
  }
  if (const std::filesystem::path& wheels = config.build.wheels_dir; !wheels.empty()) {
    runtimes.has_wheels = is_open_folder(wheels);
    if (runtimes.has_wheels) {
      bind(wheels, build::kWheelsFolder);
    } else {
      warnings.push_back("build.wheels_dir is " + wheels.string() +
                         ", which is no folder that others may read: builds go without it");
    }
  }
  runtimes.commands.emplace(build::kRuntime, std::move(builds));
}

launch::RuntimeCommand node_command(const std::string& interpreter, const std::string& runtime,
                                    const Config& config) {
  return {.argv = {(config.runtime_dir / "node" / "sterna-node-zygote").string(), "--control-fd",
                   std::to_string(zygote::kControlFd), "--node", interpreter, "--runtime", runtime},
          .env = kEnvironment};
}

void add_nodes(const Config& config, Runtimes& runtimes, std::vector<std::string>& warnings) {
  for (const std::string& interpreter : config.node) {
    const auto version = node_version(interpreter);
    if (!version) {
      warnings.push_back("the Node interpreter " + interpreter +
                         " cannot be used: " + version.error().detail);
      continue;
    }
    const std::string runtime = "node" + std::to_string(*version);
    if (!runtimes.commands.emplace(runtime, node_command(interpreter, runtime, config)).second) continue;
    runtimes.interpreters.emplace(runtime, interpreter);
    for (const std::string& name : {runtime + "-http", std::string("node-http"), std::string("node")}) {
      runtimes.runtime_of.emplace(name, runtime);  // the first one stays
    }
  }
}

}  // namespace

// Where programs look for what a build has installed for them. What the user says comes first.
void add_packages(pool::FunctionConfig& config, const std::string& layer) {
  if (layer.empty() || layer == registry::kNoLayer || config.runtime != kNative) return;
  config.env.emplace("PYTHONPATH", "/function/python_packages");
  config.env.emplace(
      "PATH", "/function/node_modules/.bin:/function/python_packages/bin:/usr/local/bin:/usr/bin:/bin");
}

Runtimes Runtimes::find(const Config& config, std::vector<std::string>& warnings) {
  Runtimes runtimes;
  add_nodes(config, runtimes, warnings);
  for (const std::string& interpreter : config.python) {
    const std::string version = python_version(interpreter);
    if (version.empty()) {
      warnings.push_back("the Python interpreter " + interpreter +
                         " cannot be used: it must be an executable called python3.N, or a link to one");
      continue;
    }
    const std::string runtime = "python" + version;
    if (!runtimes.commands.emplace(runtime, python_command(interpreter, config)).second) continue;
    runtimes.interpreters.emplace(runtime, interpreter);
    runtimes.runtime_of.emplace(runtime + "-http", runtime);
    runtimes.runtime_of.emplace("python3-http", runtime);  // the first one stays
    runtimes.runtime_of.emplace("python3", runtime);
  }
  add_native(config, runtimes, warnings);
  for (const auto& [name, runtime] : runtimes.runtime_of) runtimes.templates.push_back(name);
  return runtimes;
}

pool::FunctionConfig config_of(const registry::Function& function, const registry::Version& version,
                               const std::string& bundle_dir, const Runtimes& runtimes,
                               const Config& server) {
  const api::Limits& limits = version.spec.limits;
  pool::FunctionConfig config;
  config.id = function.id;
  config.space = function.space;
  config.name = function.name;
  config.version = static_cast<std::uint32_t>(version.number);
  if (const auto found = runtimes.runtime_of.find(version.spec.template_name);
      found != runtimes.runtime_of.end()) {
    config.runtime = found->second;
  }
  config.template_name = api::canonical_template(version.spec.template_name);
  config.handler = bundle::handler_in(bundle_dir, version.spec);
  config.command = version.spec.command;
  config.bundle_dir = bundle_dir;
  config.env = version.spec.env;
  add_packages(config, version.layer);
  add_secrets(config, version.spec, function.secret_values);
  // Without a sandbox there is no other network.
  config.network = server.sandbox == SandboxMode::kOff ? Network::kHost : limits.network;
  for (const std::string& target : limits.egress_allow) {
    if (const auto range = parse_ip_range(target))
      config.egress_allow.push_back(*range);
    else if (const auto host = parse_host_target(target))
      config.egress_names.push_back(*host);
  }
  config.timeout = limits.timeout;
  config.memory_bytes = static_cast<std::uint64_t>(limits.memory_mb) << 20;
  config.cpus = limits.cpus;
  config.max_pids = static_cast<std::uint32_t>(limits.max_pids);
  if (limits.concurrency) config.concurrency = static_cast<std::uint32_t>(*limits.concurrency);
  config.min_replicas = static_cast<std::uint32_t>(limits.min_replicas);
  config.max_replicas = static_cast<std::uint32_t>(limits.max_replicas);
  config.idle = limits.idle;
  config.queue_wait = limits.queue_wait;
  config.warm_parent = limits.warm_parent;
  config.request_buffering = version.spec.request_buffering;
  config.is_async = version.handler_async.value_or(false);
  if (limits.network == Network::kHost && !server.allow_network_host) {
    config.refusal = "limits.network: " + std::string(api::kNetworkHostRefused);
  }
  return config;
}

}  // namespace sterna::server
