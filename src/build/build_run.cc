#include "build/build_run.h"

#include <fmt/format.h>

#include "build/failure.h"
#include "build/open_files.h"
#include "build/workshop.h"
#include "bundle/folder_tree.h"

namespace sterna::build {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(50);
constexpr Duration kMeasureEvery = std::chrono::milliseconds(500);
constexpr Duration kStartPatience = std::chrono::seconds(60);
constexpr std::size_t kKeptOutput = 32U << 10;  // of the beginning, and of the end

constexpr const char* kShell = "/bin/sh";

// `$` begins a variable in a command.
std::string escaped(const std::string& word) {
  std::string out;
  for (const char c : word) out.append(c == '$' ? 2 : 1, c);
  return out;
}

pool::FunctionConfig config_of(const Recipe& recipe, const BuildRun::Place& place,
                               const BuildLimits& limits) {
  pool::FunctionConfig config;
  config.id = fmt::format("build-{}", place.number);
  config.space = place.space;
  config.name = place.function;
  config.runtime = kRuntime;
  config.template_name = "command";
  // Both streams in one, so that their lines stay in order: the log's, which is kept when the tool fails.
  // Only the recipe's environment: a function's own, and that of a CGI program, is not in the layer's key.
  // ulimit counts in 512 bytes; the sandbox has a limit of its own, which may be lower.
  config.command = {
      kShell, "-c",
      fmt::format(R"(ulimit -f {} 2>/dev/null; exec /usr/bin/env -i "$$@" >&2)", limits.disk_bytes / 512 + 1),
      "build"};
  for (const auto& [name, value] : recipe.env)
    config.command.push_back(escaped(fmt::format("{}={}", name, value)));
  for (const std::string& word : recipe.argv) config.command.push_back(escaped(word));
  config.bundle_dir = place.folder;
  config.bundle_writable = true;
  config.warm_parent = false;
  config.network = recipe.network;
  // Where packages come from is the administrator's choice, a private place too if he opens it
  // (egress_private).
  for (const char* all : {"0.0.0.0/0", "::/0"})
    config.egress_allow.push_back(parse_ip_range(all).value_or(IpRange{}));
  config.timeout = limits.timeout;
  config.memory_bytes = limits.memory_bytes;
  config.cpus = limits.cpus;
  config.max_pids = limits.max_pids;
  config.concurrency = 1;
  config.max_replicas = 1;
  config.queue_wait = kStartPatience;
  return config;
}

std::string mebibytes(std::uint64_t bytes) {
  return std::to_string(bytes >> 20U);
}

}  // namespace

BuildRun::BuildRun(net::Loop& loop, pool::Launcher& launcher, UlidGenerator& ids, net::Background& disk,
                   const Recipe& recipe, const Place& place, const BuildLimits& limits, OutputSink output,
                   EndSink ended)
    : loop_(loop),
      disk_(disk),
      recipe_(recipe),
      limits_(limits),
      folder_(place.folder),
      output_(std::move(output)),
      ended_(std::move(ended)),
      context_{.loop = loop, .launcher = launcher, .observer = *this, .ids = ids, .limits = {}},
      pool_(context_, config_of(recipe, place, limits)),
      measure_next_(loop.now() + kMeasureEvery) {
  call_.observer = this;
  call_.id = ids.next();
  wire::append_request(call_.request, {.method = "POST", .path = "/", .query = {}, .headers = {}}, {});
  call_.arrived = loop.now();
  pool_.submit(call_);
  timer_ = loop_.after(kTick, [this] { tick(); });
}

BuildRun::~BuildRun() {
  loop_.cancel(timer_);
}

void BuildRun::stop(std::string failure) {
  if (call_.pending()) call_.cancel();
  finish(std::move(failure));
}

void BuildRun::on_response(pool::Call& call, const wire::ResponseHead& /*head*/, std::string_view body,
                           wire::More more) {
  on_body(call, body, more);
}

void BuildRun::on_body(pool::Call& /*call*/, std::string_view /*part*/, wire::More more) {
  if (more == wire::More::kNo) finish({});
}

void BuildRun::on_log(const pool::FunctionConfig& /*config*/, std::string_view instance,
                      std::string_view stream, std::string_view /*call_id*/, std::string_view text) {
  // Not the worker's own words about how the tool ended.
  if (stream == "stderr" && !text.starts_with(kShell)) take(text);
  // What is said of no worker: that lines were dropped, that none could be started.
  if (stream == "platform" && instance.empty()) take(std::string(text) + '\n');
}

void BuildRun::take(std::string_view part) {
  first_.append(part.substr(0, kKeptOutput - std::min(kKeptOutput, first_.size())));
  last_.append(part);
  if (last_.size() > 2 * kKeptOutput) {
    last_.erase(0, last_.size() - kKeptOutput);
    cut_ = true;
  }
  output_(part);
}

void BuildRun::on_failed(pool::Call& /*call*/, pool::Failure failure, std::string_view detail) {
  finish(describe(failure, detail));
}

std::string BuildRun::describe(pool::Failure failure, std::string_view detail) const {
  using pool::Failure;
  std::string too_much_memory =
      fmt::format("it used more memory than the server allows builds ({} MB, build.memory_mb)",
                  mebibytes(limits_.memory_bytes));
  switch (failure) {
    case Failure::kRaised: {
      // Where the kernel has killed only a child of the tool, that one tells.
      const std::string output = cut_ ? first_ + "\n" + last_ : last_;
      for (const std::string_view told :
           {"Killed signal terminated program", "unable to execute command: Killed",
            "npm error signal SIGKILL", "npm error code 137"}) {
        if (output.contains(told)) return too_much_memory;
      }
      for (const std::string_view told :
           {"File size limit exceeded", "npm error signal SIGXFSZ", "[Errno 27] File too large"}) {
        if (output.contains(told)) return too_much_disk(limits_.disk_bytes);
      }
      return failure_reason(recipe_, output, detail);
    }
    case Failure::kOutOfMemory:
      return too_much_memory;
    case Failure::kTimeout:
      return fmt::format("it took longer than the server allows builds ({} s, build.timeout_seconds)",
                         std::chrono::duration_cast<std::chrono::seconds>(limits_.timeout).count());
    default:
      return std::string(detail);
  }
}

void BuildRun::finish(std::string failure) {
  if (failure_) return;
  failure_ = std::move(failure);
  // Not from within what the pool is telling.
  loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (alive.lock()) pool_.close(nullptr, pool::FunctionPool::Leave::kNow);
  });
}

void BuildRun::tick() {
  pool_.tick(loop_.now());
  if (failure_ && pool_.empty() && !measuring_) return ended_(*failure_);
  if (!failure_ && !measuring_ && loop_.now() >= measure_next_) measure();
  timer_ = loop_.after(kTick, [this] { tick(); });
}

void BuildRun::measure() {
  measuring_ = true;
  disk_.run(
      [this, alive = std::weak_ptr<int>(alive_), folder = folder_, most = limits_.disk_bytes, &loop = loop_] {
        const std::string excess = excess_of(bundle::tree_size(folder, most), unnamed_bytes(folder), most);
        loop.post([this, alive, excess] {
          if (!alive.lock()) return;
          measuring_ = false;
          measure_next_ = loop_.now() + kMeasureEvery;
          if (!excess.empty() && !failure_) stop(excess);
        });
      });
}

}  // namespace sterna::build
