#include "server/server.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <memory>
#include <vector>

#include "audit/audit_log.h"
#include "base/log.h"
#include "build/builder.h"
#include "bundle/bundle_store.h"
#include "callback/curl_sender.h"
#include "callback/target.h"
#include "dispatch/deliverer.h"
#include "gateway/gateway.h"
#include "launch/zygote_launcher.h"
#include "logs/function_logs.h"
#include "net/background.h"
#include "net/http_server.h"
#include "queue/sqlite/sqlite_queue.h"
#include "sandbox/cpu_confiner.h"
#include "sandbox/description.h"
#include "sandbox/probe.h"
#include "server/access_sync.h"
#include "server/bootstrap.h"
#include "server/build_metrics.h"
#include "server/cgroup_home.h"
#include "server/connection_metrics.h"
#include "server/data_check.h"
#include "server/descriptor_limit.h"
#include "server/health_watch.h"
#include "server/queue_events.h"
#include "server/registry_bridge.h"
#include "server/run_record.h"
#include "server/runtimes.h"
#include "server/signals.h"
#include "server/toolbox.h"
#include "store/data_lock.h"

namespace sterna::server {
namespace {

constexpr Duration kWarmUpPatience = std::chrono::seconds(5);
constexpr Duration kAddressPause = std::chrono::seconds(1);
constexpr Duration kDrainPoll = std::chrono::milliseconds(10);
constexpr Duration kStopPatience = std::chrono::seconds(3);
constexpr Duration kRegistryLook = std::chrono::seconds(1);
constexpr Duration kThreadPatience = std::chrono::seconds(20);  // for what threads do when the loop has ended
constexpr Duration kLastAnswers = std::chrono::seconds(1);      // may take that long to leave

std::string_view text(const std::string& value) {
  return value;
}

Status make_directory(const std::filesystem::path& path) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  if (!failed) return {};
  return fail(Code::kIo, Component::kGateway, "io_error",
              "cannot make " + path.string() + ": " + failed.message());
}

// What everything else runs on.
struct Base {
  explicit Base(const Config& config) : bodies{.spool_dir = config.data_dir / "run"}, loop(clock) {}

  SystemClock clock;
  net::BodyBudget bodies;
  net::Loop loop;
};

// Everything that lives as long as the server; made top down, ended bottom up.
class Server {
 public:
  Server(const Config& config, std::unique_ptr<Base> base, store::DataLock lock, CgroupHome cgroups,
         sandbox::Probe machine, Runtimes runtimes, build::Toolbox tools, callback::AllowList callback_allow,
         std::unique_ptr<registry::Registry> registry, std::unique_ptr<bundle::BundleStore> bundles,
         std::unique_ptr<build::LayerStore> layers, std::unique_ptr<logs::FunctionLogs> logs,
         std::unique_ptr<queue::sqlite::SqliteQueue> queue, std::unique_ptr<audit::AuditLog> audit);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Any thread, as long as it lives.
  void hear(int signal) {
    loop_.post([this, signal] { on_signal(signal); });
  }
  Status listen();
  void run() { loop_.run(); }
  // Why the start failed or the run ended early; empty otherwise.
  void stop_workers();

 private:
  pool::FunctionConfig config_of(const registry::Function& function, const registry::Version& version);
  // Any thread.
  api::OrderedJson sandbox_of(const registry::Function& function, const registry::Version& version) const;
  void write_address();
  Status check_callback(const std::string& space, const std::string& url) const;
  void log_line(const std::string& function_id, const std::string& name, std::string_view instance,
                std::string_view stream, std::string_view call_id, std::string_view text);
  void watch_registry();
  void on_signal(int signal);
  void drain();
  void end(MonotonicTime answers_until, MonotonicTime workers_until);

  const Config config_;
  const std::unique_ptr<Base> base_;
  const Clock& clock_;
  net::Loop& loop_;
  store::DataLock lock_;
  CgroupHome cgroups_;
  const sandbox::CpuConfinerThread confiner_;
  const sandbox::Probe machine_;
  Runtimes runtimes_;
  std::unique_ptr<registry::Registry> registry_;
  std::unique_ptr<bundle::BundleStore> bundles_;
  std::unique_ptr<build::LayerStore> layers_;
  std::unique_ptr<logs::FunctionLogs> logs_;
  logs::BuildLogs build_logs_;
  std::unique_ptr<queue::sqlite::SqliteQueue> queue_;
  std::unique_ptr<audit::AuditLog> audit_;
  const callback::AllowList callback_allow_;
  prometheus::Registry metrics_;
  UlidGenerator ids_;
  invoke::InvocationMetrics invocation_metrics_;
  launch::ZygoteLauncher launcher_;
  net::Background management_thread_;
  net::Background token_thread_;
  net::Background log_thread_;
  AccessSync access_;
  RegistryBridge bridge_;
  build::Builder builder_;
  invoke::FunctionTable functions_;
  gateway::Management management_;
  gateway::Gatekeeper gatekeeper_;
  auth::FailedLogins bad_secrets_;
  gateway::Refusals refusals_;
  gateway::Settlements settlements_;
  dispatch::AsyncMetrics async_metrics_;
  dispatch::Dispatcher dispatcher_;
  callback::CurlSender sender_;
  dispatch::Deliverer deliverer_;
  QueueEvents queue_events_;
  gateway::Health health_;
  ConnectionMetrics connection_metrics_;
  BuildMetrics build_metrics_;
  gateway::Gateway gateway_;
  std::unique_ptr<net::HttpServer> http_;
  std::string address_;  // host:port that it listens at
  HealthWatch health_watch_;
  net::Loop::TimerId registry_timer_;
  bool draining_ = false;
  MonotonicTime drain_until_;
};

launch::LaunchSettings launch_settings(const Config& config, const Runtimes& runtimes,
                                       const sandbox::Probe& machine) {
  return {.runtimes = runtimes.commands,
          .root_dir = config.data_dir / "run" / "root",
          .cgroups = machine.cgroups,
          .spares = static_cast<std::uint32_t>(config.spares),
          .io_bytes_per_second = config.limits.io_mb_per_second << 20U,
          .isolation = machine.isolation,
          .egress = machine.egress,
          .egress_private = private_targets(config)};
}

build::BuilderSettings builder_settings(const Config& config) {
  const BuildConfig& build = config.build;
  return {.limits = {.timeout = build.timeout,
                     .memory_bytes = build.memory_mb << 20U,
                     .disk_bytes = build.disk_mb << 20U,
                     .cpus = static_cast<double>(build.cpus),
                     .max_pids = static_cast<std::uint32_t>(build.max_pids)},
          .parallel = build.parallel,
          .kept_logs = static_cast<std::int64_t>(config.limits.kept_versions)};
}

// Where the server writes, and what does not work when it cannot.
std::vector<Folder> written_folders(const std::filesystem::path& data_dir) {
  return {{"data_dir", "functions cannot be changed, asynchronous invocations are refused", data_dir},
          {"bodies", "requests with large bodies are refused", data_dir / "run"},
          {"bundles", "no code can be deployed", data_dir / "bundles"},
          {"layers", "nothing can be built", data_dir / "layers"},
          {"logs", "what functions print is lost", data_dir / "logs"},
          {"build_logs", "logs of builds are lost", data_dir / "build-logs"}};
}

queue::QueueLimits queue_limits(const AsyncLimits& limits) {
  return {.function_backlog = limits.function_backlog,
          .space_backlog = limits.space_backlog,
          .keep_settled = limits.keep,
          .keep_bytes = limits.keep_bytes};
}

api::SpecRules spec_rules(const Config& config, const Runtimes& runtimes) {
  api::SpecRules rules{.templates = runtimes.templates, .default_limits = {}};
  rules.max_body_bytes = static_cast<std::int64_t>(config.limits.max_body_bytes);
  rules.default_limits.max_body_bytes = rules.max_body_bytes;
  rules.default_limits.queue_wait = config.limits.queue_wait;
  rules.allow_network_host = config.allow_network_host;
  rules.egress_private = private_targets(config);
  rules.app_rate_limit = app_rate_limit(config);
  return rules;
}

Server::Server(const Config& config, std::unique_ptr<Base> base, store::DataLock lock, CgroupHome cgroups,
               sandbox::Probe machine, Runtimes runtimes, build::Toolbox tools,
               callback::AllowList callback_allow, std::unique_ptr<registry::Registry> registry,
               std::unique_ptr<bundle::BundleStore> bundles, std::unique_ptr<build::LayerStore> layers,
               std::unique_ptr<logs::FunctionLogs> logs, std::unique_ptr<queue::sqlite::SqliteQueue> queue,
               std::unique_ptr<audit::AuditLog> audit)
    : config_(config),
      base_(std::move(base)),
      clock_(base_->clock),
      loop_(base_->loop),
      lock_(std::move(lock)),
      cgroups_(std::move(cgroups)),
      confiner_(cgroups_.layout()),
      machine_(std::move(machine)),
      runtimes_(std::move(runtimes)),
      registry_(std::move(registry)),
      bundles_(std::move(bundles)),
      layers_(std::move(layers)),
      logs_(std::move(logs)),
      build_logs_(config_.data_dir / "build-logs", config_.build.log_bytes, clock_),
      queue_(std::move(queue)),
      audit_(std::move(audit)),
      callback_allow_(std::move(callback_allow)),
      ids_(clock_),
      invocation_metrics_(metrics_),
      launcher_(loop_, launch_settings(config_, runtimes_, machine_)),
      access_(loop_, management_thread_, *registry_),
      bridge_(loop_, management_thread_, *registry_, access_),
      builder_(loop_, launcher_, ids_, *bundles_, *layers_, build_logs_, std::move(tools),
               builder_settings(config_), bridge_),
      functions_(
          loop_, launcher_, ids_,
          {.queue_length = config_.limits.queue_length,
           .max_workers_total = config_.limits.max_replicas_total},
          bridge_, builder_,
          [this](const registry::Function& f, const registry::Version& v) { return config_of(f, v); },
          [this](const std::string& id, const std::string& name, std::string_view instance,
                 std::string_view stream, std::string_view call,
                 std::string_view line) { log_line(id, name, instance, stream, call, line); },
          invocation_metrics_),
      management_(
          *registry_, *bundles_, *audit_, spec_rules(config_, runtimes_), config_.limits.max_code_bytes,
          [this](const std::string& id) { return bridge_.metrics_of(id); },
          [this](const std::string& space) { return bridge_.load_of(space, *queue_); },
          [this](const registry::Function& f, const registry::Version& v) { return sandbox_of(f, v); }),
      gatekeeper_(access_.table(), clock_,
                  config_.auth == Auth::kNone ? gateway::TokenCheck::kOff : gateway::TokenCheck::kOn,
                  static_cast<double>(config_.limits.failed_logins_per_minute)),
      bad_secrets_(static_cast<double>(config_.limits.failed_logins_per_minute)),
      refusals_(metrics_),
      async_metrics_(metrics_, *queue_, *queue_, clock_,
                     [this](const std::string& id) { return functions_.find_id(id) != nullptr; }),
      dispatcher_(loop_, functions_, *queue_, base_->bodies,
                  {.max_result_bytes = config_.async.max_result_bytes},
                  [this](const queue::FunctionName& function) { async_metrics_.retried(function); }),
      sender_(loop_, clock_, {}, callback_allow_),
      deliverer_(loop_, functions_, *queue_, sender_,
                 [this](const queue::FunctionName& function, const std::string& outcome) {
                   async_metrics_.delivery(function, outcome);
                 }),
      queue_events_(*queue_, dispatcher_, settlements_, async_metrics_),
      health_(clock_, metrics_),
      connection_metrics_(metrics_),
      build_metrics_(metrics_),
      gateway_(
          {.loop = loop_,
           .functions = functions_,
           .management = management_,
           .logs = *logs_,
           .build_logs = build_logs_,
           .management_thread = management_thread_,
           .token_thread = token_thread_,
           .log_thread = log_thread_,
           .metrics = metrics_,
           .ids = ids_,
           .async = {.queue = *queue_,
                     .outbox = *queue_,
                     .invocations = *queue_,
                     .settlements = settlements_,
                     .check_callback = [this](const std::string& space,
                                              const std::string& url) { return check_callback(space, url); }},
           .gatekeeper = gatekeeper_,
           .refusals = refusals_,
           .oauth = {.table = access_.table(),
                     .registry = *registry_,
                     .token_lifetime = config_.token_lifetime,
                     .bad_secrets = bad_secrets_,
                     .refusals = refusals_},
           .health = health_,
           .update_gauges =
               [this] {
                 functions_.update_gauges();
                 async_metrics_.update_gauges();
                 if (http_) connection_metrics_.update(*http_);
                 build_metrics_.update(builder_);
               }},
          {.max_path_levels = config_.limits.max_path_levels, .open_metrics = config_.open_metrics}),
      health_watch_(loop_, health_,
                    {.launcher = launcher_,
                     .functions = functions_,
                     .deliverer = deliverer_,
                     .registry = *registry_,
                     .queue = *queue_,
                     .audit = *audit_},
                    written_folders(config_.data_dir)) {
  management_.ask_code_in_use([this] { return bridge_.code_in_use(); });
  management_.on_quota_exceeded([this](const std::string& space) { refusals_.count(space, "quota"); });
}

// The jobs of these threads use what is made after them.
Server::~Server() {
  loop_.cancel(registry_timer_);
  bridge_.stop_asking();
  for (net::Background* thread : {&management_thread_, &token_thread_, &log_thread_}) thread->end();
}

pool::FunctionConfig Server::config_of(const registry::Function& function, const registry::Version& version) {
  const bool built = !version.layer.empty() && version.layer != registry::kNoLayer;
  const std::filesystem::path folder =
      built ? bundles_->composed_path(version.bundle, version.layer) : bundles_->path_of(version.bundle);
  pool::FunctionConfig made = server::config_of(function, version, folder.string(), runtimes_, config_);
  if (made.refusal.empty()) launcher_.prepare(made.runtime, made.network);
  return made;
}

api::OrderedJson Server::sandbox_of(const registry::Function& function,
                                    const registry::Version& version) const {
  const pool::FunctionConfig made = server::config_of(function, version, {}, runtimes_, config_);
  return sandbox::describe(launcher_.plan_of(made), machine_);
}

// Names are looked up when the callback is sent; here only what can be told at once.
Status Server::check_callback(const std::string& space, const std::string& url) const {
  const auto target = callback::parse_target(url);
  if (!target) return std::unexpected(target.error());
  callback::AllowList own;
  if (const auto settings = functions_.find_space(space)) {
    auto parsed = callback::AllowList::parse(settings->spec.callback_allow);
    if (parsed) own = std::move(*parsed);  // it was checked when it was set
  }
  return callback::check_literal(*target, {&callback_allow_, &own});
}

void Server::log_line(const std::string& function_id, const std::string& name, std::string_view instance,
                      std::string_view stream, std::string_view call_id, std::string_view lines) {
  const invoke::FunctionEntry* const entry = functions_.find_id(function_id);
  const std::string space = entry == nullptr ? std::string() : entry->space;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    logs_->append(function_id, {.name = name,
                                .instance = std::string(instance),
                                .timestamp = clock_.wall(),
                                .text = std::string(line),
                                .stream = stream == "stdout"   ? logs::Stream::kStdout
                                          : stream == "stderr" ? logs::Stream::kStderr
                                                               : logs::Stream::kPlatform,
                                .call_id = std::string(call_id),
                                .space = space});
  }
}

// Tells as long as changes of functions wait for the registry.
void Server::watch_registry() {
  std::vector<gateway::Trouble> seen;
  if (bridge_.waiting() > 0) {
    seen.push_back({.component = "registry",
                    .reason = "changes_wait",
                    .detail =
                        "what became of functions, spaces or apps cannot be written or read; it is tried "
                        "again every second, and until then they stay as they are"});
  }
  health_.update("registry", seen);
  registry_timer_ = loop_.after(kRegistryLook, [this] { watch_registry(); });
}

Status Server::listen() {
  functions_.set_max_body(config_.limits.max_body_bytes);
  functions_.set_space_defaults(space_rate_limit(config_), space_quota(config_));
  access_.table().set_default_rate(app_rate_limit(config_));
  if (const Status loaded = bridge_.load(functions_); !loaded) return loaded;
  if (const Status loaded = access_.load(); !loaded) return loaded;
  watch_registry();
  functions_.on_running([this](const std::string& id) { dispatcher_.wake(id); });
  functions_.on_run_ended({.wanted = [this](const std::string& id) { return logs_->shows_invocations(id); },
                           .ended =
                               [this](const invoke::FunctionEntry& entry, const invoke::EndedRun& run) {
                                 logs_->show_invocation(entry.id, run_record(entry.name, run, clock_.wall()));
                               }});
  functions_.on_left([this] {
    if (management_.keeps_code()) management_thread_.run([this] { management_.remove_kept_code(); });
  });
  functions_.on_remove([this](const std::string& id) {
    queue_->forget(id);
    settlements_.on_deleted(id);
    builder_.forget(id);
    async_metrics_.remove(id);
    logs_->remove(id);
  });
  // Those that were deleted while the last server died.
  std::map<std::string, std::string> spaces;
  functions_.for_each([&](const invoke::FunctionEntry& entry) { spaces.emplace(entry.id, entry.space); });
  build_logs_.keep_only([&](const std::string& id) { return spaces.contains(id); });
  logs_->keep_only(std::move(spaces));
  for (const queue::FunctionName& function : queue_->functions()) {
    if (functions_.find_id(function.id) == nullptr) queue_->forget(function.id);
  }
  // The first call after a restart should not wait for an interpreter to warm up.
  const MonotonicTime patience = clock_.now() + kWarmUpPatience;
  while (!launcher_.settled() && clock_.now() < patience) loop_.turn(kDrainPoll);
  for (const queue::FunctionName& function : queue_->functions()) {
    if (functions_.find_id(function.id) != nullptr) async_metrics_.found(function);
  }

  const Limits& limits = config_.limits;
  std::unique_ptr<net::TlsContext> tls;
  if (!config_.tls_cert.empty()) {
    auto loaded = net::TlsContext::load({.certificate = config_.tls_cert, .key = config_.tls_key});
    if (!loaded) return std::unexpected(loaded.error());
    tls = std::move(*loaded);
  }
  auto http =
      net::HttpServer::listen(loop_, config_.listen.host, config_.listen.port, gateway_,
                              {.max_header_bytes = limits.max_header_bytes,
                               .max_connections = connection_limit(limits.max_connections),
                               .max_connections_per_client = limits.max_connections_per_client,
                               .max_streams = static_cast<std::uint32_t>(limits.max_concurrent_streams),
                               .header_timeout = limits.header_timeout,
                               .body_timeout = limits.body_timeout,
                               .keepalive = limits.keepalive},
                              base_->bodies, std::move(tls));
  if (!http) return std::unexpected(http.error());
  http_ = std::move(*http);
  health_watch_.watch(*http_);
  address_ = to_string(Address{config_.listen.host, http_->port()});
  const std::string scheme = config_.tls_cert.empty() ? "http" : "https";
  if (config_.auth != Auth::kNone) {
    if (Status made = make_first_administrator(*registry_, scheme + "://" + address_); !made) return made;
  }
  write_address();
  log::info("listening", {{"address", text(address_)},
                          {"scheme", text(scheme)},
                          {"functions", static_cast<std::int64_t>(functions_.size())},
                          {"data_dir", text(config_.data_dir.string())}});
  return {};
}

// Whole or not at all, and again and again while the disk has no room.
void Server::write_address() {
  const std::filesystem::path whole = config_.data_dir / "address";
  const std::filesystem::path half = config_.data_dir / "address.new";
  std::ofstream file(half, std::ios::trunc);
  file << address_ << "\n";
  file.close();
  std::error_code failed;
  if (file) std::filesystem::rename(half, whole, failed);
  if (file && !failed) return;
  std::filesystem::remove(half, failed);
  loop_.after(kAddressPause, [this] {
    if (!draining_) write_address();
  });
}

void Server::on_signal(int signal) {
  if (draining_) {
    log::warn("second signal: stopping at once");
    if (http_) http_->cut_off();
    return loop_.stop();
  }
  draining_ = true;
  log::info("draining",
            {{"signal", std::int64_t{signal}}, {"calls", static_cast<std::int64_t>(gateway_.in_flight())}});
  health_.drain("the server ends: calls that run are finished, no more are taken");
  drain_until_ = loop_.now() + config_.drain;
  dispatcher_.drain();
  deliverer_.drain();
  if (http_) http_->drain();
  drain();
}

void Server::drain() {
  const bool quiet = gateway_.in_flight() == 0 && (!http_ || http_->connections() == 0) &&
                     dispatcher_.running() == 0 && deliverer_.sending() == 0;
  if (!quiet && loop_.now() < drain_until_) {
    loop_.after(kDrainPoll, [this] { drain(); });
    return;
  }
  if (!quiet) {
    log::warn("the drain time is over; calls are cut off",
              {{"calls", static_cast<std::int64_t>(gateway_.in_flight())}});
  }
  settlements_.on_server_ends();
  functions_.shut_down();  // who still waits for a call is told that it was stopped
  builder_.shut_down();
  end(loop_.now() + kLastAnswers, loop_.now() + kStopPatience);
}

void Server::end(MonotonicTime answers_until, MonotonicTime workers_until) {
  const bool answered = !http_ || http_->connections() == 0 || loop_.now() >= answers_until;
  const bool stopped = (functions_.idle() && builder_.idle()) || loop_.now() >= workers_until;
  if (!answered || !stopped) {
    loop_.after(kDrainPoll, [this, answers_until, workers_until] { end(answers_until, workers_until); });
    return;
  }
  if (http_) http_->cut_off();
  std::error_code ignored;
  std::filesystem::remove(config_.data_dir / "address", ignored);
  loop_.stop();
}

// What keeps functions in, on this machine.
void tell_sandbox(const sandbox::Probe& probe) {
  const auto enforced = [](bool yes) { return std::string_view(yes ? "enforced" : "missing"); };
  const sandbox::CgroupLayout& groups = probe.cgroups;
  log::info("sandbox",
            {{"namespaces", enforced(probe.namespaces && probe.mounts)},
             {"system_call_filter", enforced(probe.seccomp)},
             {"landlock", probe.landlock > 0 ? std::string_view("enforced") : std::string_view("missing")},
             {"user_per_function", enforced(probe.own_users)},
             {"cgroups", to_string(groups.version)},
             {"memory", std::string_view(groups.memory.empty() ? "per process" : "enforced")},
             {"cpus", enforced(!groups.cpu.empty())},
             {"processes", std::string_view(groups.pids.empty() ? "per user" : "enforced")},
             {"io", enforced(!groups.io.empty() && !groups.disks.empty())},
             {"egress", std::string_view(probe.isolation == sandbox::Isolation::kNone ? "open"
                                         : probe.egress                               ? "filtered"
                                                                                      : "none")}});
}

}  // namespace

Status serve(const Config& config, const std::vector<std::string>& unknown_variables) {
  log::configure(config.log_level, config.log_format);
  if (const Status valid = validate(config); !valid) return valid;
  Signals::block();
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file beyond the limit (ulimit -f) is a failed write
  const log::Background log_writer;
  if (!unknown_variables.empty()) {
    log::warn("variables that are not known are left out",
              {{"names", text(fmt::format("{}", fmt::join(unknown_variables, " ")))}});
  }
  if (const Status enough = raise_descriptor_limit(); !enough) return enough;

  auto lock = store::DataLock::acquire(config.data_dir);
  if (!lock) return std::unexpected(lock.error());
  if (const Status made = make_directory(config.data_dir / "run" / "root"); !made) return made;
  if (const Status made = make_directory(config.data_dir / "build-logs"); !made) return made;
  std::vector<std::string> warnings;
  CgroupHome cgroups = CgroupHome::open(config.data_dir, warnings);
  sandbox::Probe probe = config.sandbox == SandboxMode::kOff
                             ? sandbox::no_sandbox()
                             : sandbox::probe(cgroups.layout(), std::exchange(warnings, {}));
  warnings = probe.warnings;
  tell_sandbox(probe);
  if (config.sandbox == SandboxMode::kStrict && !probe.warnings.empty()) {
    return fail(Code::kInvalid, Component::kGateway, "bad_config",
                fmt::format("sandbox is strict, and this machine cannot enforce all of it: {}",
                            fmt::join(probe.warnings, "; ")));
  }
  Runtimes runtimes = Runtimes::find(config, warnings);
  build::Toolbox tools = toolbox_of(config, runtimes, warnings);
  for (const std::string& warning : warnings)
    log::warn("not everything is in place", {{"what", text(warning)}});

  if (const Status complete = check_data(config.data_dir); !complete) return complete;
  const SystemClock clock;
  auto registry = registry::Registry::open((config.data_dir / "sterna.db").string(), clock,
                                           static_cast<std::int64_t>(config.limits.kept_versions));
  if (!registry) return std::unexpected(registry.error());
  (*registry)->set_default_quota(space_quota(config));
  if (const Status unlocked = (*registry)->unlock_secrets(config.secrets_key_file); !unlocked)
    return unlocked;
  auto bundles = bundle::BundleStore::open(config.data_dir / "bundles");
  if (!bundles) return std::unexpected(bundles.error());
  const auto used = (*registry)->bundles();
  if (!used) return std::unexpected(used.error());
  if (const Status swept = (*bundles)->sweep(*used); !swept) return swept;
  const auto built = (*registry)->layers();
  if (!built) return std::unexpected(built.error());
  if (const Status swept = (*bundles)->sweep_composed(*built); !swept) return swept;
  auto layers = build::LayerStore::open(config.data_dir / "layers", config.build.cache_mb << 20U);
  if (!layers) return std::unexpected(layers.error());
  auto logs = logs::FunctionLogs::open(
      config.data_dir / "logs",
      {.bytes_per_function = config.limits.function_log_bytes, .bytes_total = config.limits.total_log_bytes},
      clock);
  if (!logs) return std::unexpected(logs.error());

  auto callback_allow = callback::AllowList::parse(config.callback_allow);
  if (!callback_allow) return std::unexpected(callback_allow.error());
  auto base = std::make_unique<Base>(config);
  auto queue = queue::sqlite::SqliteQueue::open(config.data_dir / "queue.db", base->loop, base->bodies,
                                                queue_limits(config.async));
  if (!queue) return std::unexpected(queue.error());
  auto audit = audit::AuditLog::open((config.data_dir / "audit.db").string(), clock);
  if (!audit) return std::unexpected(audit.error());

  Signals signals;
  {
    Server server(config, std::move(base), std::move(*lock), std::move(cgroups), std::move(probe),
                  std::move(runtimes), std::move(tools), std::move(*callback_allow), std::move(*registry),
                  std::move(*bundles), std::move(*layers), std::move(*logs), std::move(*queue),
                  std::move(*audit));
    signals.tell([&server](int signal) { server.hear(signal); });
    const Status listening = server.listen();
    if (listening) server.run();
    signals.tell(nullptr);
    signals.end_within(kThreadPatience);
    if (!listening) return listening;
  }
  log::info("stopped");
  return {};
}

}  // namespace sterna::server
