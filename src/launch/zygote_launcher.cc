#include "launch/zygote_launcher.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/secrets.h"

namespace sterna::launch {
namespace {

// Host users that functions run as, one each. Above what systems give to people and to containers by default.
constexpr std::uint32_t kFirstUid = 2'000'000;
constexpr std::uint32_t kUidCount = 1'000'000;
// Beyond them: those of workers that are programs, a range for each runtime.
constexpr std::uint32_t kFirstProgramUid = kFirstUid + kUidCount;
constexpr Duration kExitPatience = std::chrono::seconds(3);
constexpr unsigned kExitPollMicroseconds = 2000;
constexpr Duration kRestartPause = std::chrono::seconds(1);
constexpr unsigned kMostDoublings = 5;  // of that pause
// What hangs is told by looks that find it unchanged, not by the clock: a machine that stands still and goes
// on must not seem to have hung.
constexpr Duration kLookEvery = std::chrono::seconds(2);
constexpr unsigned kUnansweredPings = 5;
constexpr unsigned kLooksUntilReady = 30;
constexpr unsigned kLooksUntilEntered = 4;

}  // namespace

// One zygote process and the loop's end of its control socket.
class ZygoteLauncher::Zygote final : public net::EventHandler {
 public:
  Zygote(ZygoteLauncher& launcher, std::string runtime, zygote::ZygoteClient client)
      : launcher_(launcher), runtime_(std::move(runtime)), client_(std::move(client)) {
    ++launcher_.starting_;
  }
  ~Zygote() override {
    settle();
    launcher_.loop_.remove(client_->fd(), *this);
    const pid_t pid = client_->pid();
    client_.reset();  // it kills its workers and exits when the socket closes
    const MonotonicTime patience = launcher_.loop_.clock().now() + kExitPatience;
    while (::waitpid(pid, nullptr, WNOHANG) == 0) {
      if (launcher_.loop_.clock().now() > patience) ::kill(pid, SIGKILL);
      ::usleep(kExitPollMicroseconds);
    }
  }

  zygote::ZygoteClient& client() { return *client_; }

  void want_spares(Network network, std::uint32_t count) {
    if (count > 0 && spares_.insert(network).second) static_cast<void>(client_->send_spares(network, count));
  }

  // False: it hangs, and has been killed.
  bool look() {
    const unsigned most = starting_ ? kLooksUntilReady : kUnansweredPings;
    if (asked_ && ++unanswered_ >= most) {
      ::kill(client_->pid(), SIGKILL);
      return false;
    }
    if (!asked_ && !starting_) static_cast<void>(client_->send_ping());
    asked_ = true;
    return true;
  }

  void on_event(std::uint32_t) override {
    while (true) {
      auto report = client_->receive();
      if (!report)
        return launcher_.on_zygote_gone(runtime_, failure_.empty() ? report.error().detail : failure_);
      if (!*report) return;
      std::visit([this](auto& message) { take(message); }, **report);
    }
  }

 private:
  void settle() {
    if (std::exchange(starting_, false)) --launcher_.starting_;
  }
  void take(zygote::Ready& ready) {
    settle();
    take(zygote::Pong{});
    launcher_.on_zygote_ready(runtime_);
    log::info("a runtime is ready", {{"runtime", std::string_view(ready.runtime)},
                                     {"pid", static_cast<std::int64_t>(client_->pid())}});
  }
  void take(zygote::Failed& failed) {
    failure_ = std::move(failed.error);  // it ends now
  }
  void take(const zygote::Pong&) {
    asked_ = false;
    unanswered_ = 0;
  }
  void take(zygote::Started& started) { launcher_.on_entered(started); }
  void take(zygote::Exited& exited) {
    launcher_.report_exit(
        exited.worker,
        {.code = exited.code, .signal = exited.signal, .out_of_memory = exited.oom, .error = exited.error});
  }

  ZygoteLauncher& launcher_;
  const std::string runtime_;
  std::optional<zygote::ZygoteClient> client_;
  bool starting_ = true;
  std::string failure_;  // why it cannot make workers
  bool asked_ = false;   // and has not answered yet
  unsigned unanswered_ = 0;
  std::set<Network> spares_;  // kinds that were asked for
};

ZygoteLauncher::ZygoteLauncher(net::Loop& loop, LaunchSettings settings)
    : loop_(loop), resolver_(loop), settings_(std::move(settings)) {
  look_timer_ = loop_.after(kLookEvery, [this] { look(); });
}

ZygoteLauncher::~ZygoteLauncher() {
  *alive_ = false;
  loop_.cancel(look_timer_);
}

void ZygoteLauncher::prepare(const std::string& runtime, Network network) {
  std::string why_not;
  wanted_[runtime].insert(network);
  if (Zygote* ready = zygote(runtime, why_not)) ready->want_spares(network, spares_of(runtime));
}

std::uint32_t ZygoteLauncher::spares_of(const std::string& runtime) const {
  const auto command = settings_.runtimes.find(runtime);
  return command == settings_.runtimes.end() || command->second.keeps_spares ? settings_.spares : 0;
}

ZygoteLauncher::Zygote* ZygoteLauncher::zygote(const std::string& runtime, std::string& why_not) {
  if (const auto found = zygotes_.find(runtime); found != zygotes_.end()) return found->second.get();
  const auto command = settings_.runtimes.find(runtime);
  if (command == settings_.runtimes.end()) {
    why_not = "there is no runtime " + runtime + " on this machine";
    return nullptr;
  }
  if (loop_.now() < start_not_before_[runtime]) {
    why_not = "the runtime " + runtime + " has just ended; it is started again in a moment";
    return nullptr;
  }
  start_not_before_[runtime] = loop_.now() + kRestartPause;
  wanted_.try_emplace(runtime);
  auto client = zygote::spawn_zygote(command->second.argv, command->second.env);
  if (client) {
    const auto place = static_cast<std::uint32_t>(std::distance(settings_.runtimes.begin(), command));
    const Status configured =
        client->configure({.root_dir = settings_.root_dir,
                           .cgroups = settings_.cgroups,
                           .program_uids = kFirstProgramUid + place * zygote::kProgramUids,
                           .isolation = settings_.isolation});
    if (!configured) {
      client = std::unexpected(configured.error());
    }
  }
  if (!client) {
    why_not = client.error().detail;
    mark_down(runtime, why_not);
    return nullptr;
  }
  auto made = std::make_unique<Zygote>(*this, runtime, std::move(*client));
  if (const Status added = loop_.add(made->client().fd(), *made, EPOLLIN | EPOLLET); !added) {
    why_not = added.error().detail;
    mark_down(runtime, why_not);
    return nullptr;
  }
  return zygotes_.emplace(runtime, std::move(made)).first->second.get();
}

// A function keeps its user as long as it has workers; after that another may get it, when all others had
// their turn.
std::uint32_t ZygoteLauncher::take_user(const std::string& function) {
  const auto [found, added] = users_.try_emplace(function);
  User& user = found->second;
  if (added) {
    do {
      user.uid = kFirstUid + next_uid_;
      next_uid_ = (next_uid_ + 1) % kUidCount;
    } while (!uids_.insert(user.uid).second);
  }
  ++user.workers;
  return user.uid;
}

void ZygoteLauncher::leave_user(const std::string& function) {
  const auto found = users_.find(function);
  if (found == users_.end() || --found->second.workers > 0) return;
  uids_.erase(found->second.uid);
  users_.erase(found);
}

sandbox::SandboxPlan ZygoteLauncher::plan_of(const pool::FunctionConfig& config) const {
  sandbox::SandboxPlan plan;
  plan.bundle_dir = config.bundle_dir;
  plan.bundle_writable = config.bundle_writable;
  plan.memory_bytes = config.memory_bytes;
  plan.cpus = config.cpus;
  plan.max_pids = config.max_pids;
  plan.io_bytes_per_second = settings_.io_bytes_per_second;
  plan.network = config.network == Network::kEgress && !settings_.egress ? Network::kNone : config.network;
  if (settings_.isolation == sandbox::Isolation::kNone) plan.network = Network::kHost;
  plan.egress = {
      .only = config.egress_allow, .names = config.egress_names, .may_open = settings_.egress_private};
  plan.hostname = config.name;
  return plan;
}

void ZygoteLauncher::start(const std::string& instance, const pool::FunctionConfig& config,
                           pool::WorkerDescriptors descriptors, const pool::Origin& origin,
                           pool::LaunchObserver& observer) {
  Running& running = running_[instance] = {.runtime = config.runtime,
                                           .function = config.id,
                                           .observer = &observer,
                                           .egress = {},
                                           .network = {},
                                           .error = {}};
  const std::uint32_t uid = take_user(config.id);
  std::string why_not;
  Zygote* parent = zygote(config.runtime, why_not);
  if (parent == nullptr) return report_exit_later(instance, why_not);
  sandbox::SandboxPlan plan = plan_of(config);
  running.needs_network = plan.network == Network::kEgress;
  running.egress = plan.egress;
  plan.host_uid = uid;
  plan.host_gid = uid;
  plan.may_pause = origin.may_pause;
  if (!origin.parent.empty()) {
    // A process can have one listener: its replicas get their own when the parent's is closed. It needs no
    // network any more.
    if (const auto paused = running_.find(origin.parent); paused != running_.end())
      paused->second.network.reset();
    const Status sent = parent->client().send_fork(instance, plan, origin.parent, descriptors.socket.get(),
                                                   descriptors.claim_page.get(), descriptors.output.get());
    if (!sent) report_exit_later(instance, sent.error().detail);
    return;
  }
  wanted_[config.runtime].insert(plan.network);
  parent->want_spares(plan.network, spares_of(config.runtime));
  UniqueFd secrets;
  if (!config.secrets.empty()) {
    auto packed = sandbox::pack_secrets(config.secrets);
    if (!packed) return report_exit_later(instance, packed.error().detail);
    secrets = std::move(*packed);
  }
  const Status sent =
      parent->client().send_start(instance, plan, descriptors.socket.get(), descriptors.claim_page.get(),
                                  descriptors.output.get(), secrets.get());
  if (!sent) report_exit_later(instance, sent.error().detail);
}

void ZygoteLauncher::connect(const std::string& instance, pid_t worker, UniqueFd listener) {
  const auto found = running_.find(instance);
  if (found == running_.end()) return;
  if (!network_group_) {
    if (auto made = sandbox::Cgroup::make(settings_.cgroups, "network"))
      network_group_.emplace(std::move(*made));
  }
  found->second.network = std::make_unique<EgressNetwork>(
      loop_, resolver_, std::move(listener), worker,
      network_group_ ? network_group_->join_fds() : std::vector<int>(), found->second.egress,
      [instance](const std::string& why) {
        log::warn("a worker has no network",
                  {{"instance", std::string_view(instance)}, {"error", std::string_view(why)}});
      });
}

void ZygoteLauncher::kill(const std::string& instance) {
  const auto found = running_.find(instance);
  if (found == running_.end()) return;
  const auto parent = zygotes_.find(found->second.runtime);
  if (parent != zygotes_.end()) static_cast<void>(parent->second->client().send_kill(instance));
}

void ZygoteLauncher::report_exit(const std::string& instance, const pool::WorkerExit& exit) {
  auto found = running_.extract(instance);
  if (found.empty()) return;
  leave_user(found.mapped().function);
  pool::WorkerExit told = exit;
  if (told.error.empty()) told.error = std::move(found.mapped().error);
  found.mapped().observer->on_exited(instance, told);
}

// Never from within `start`: the pool is not ready to hear of it there.
void ZygoteLauncher::report_exit_later(const std::string& instance, std::string why) {
  loop_.post([this, instance, why = std::move(why)] {
    report_exit(instance, {.code = {}, .signal = {}, .error = why});
  });
}

void ZygoteLauncher::on_zygote_gone(const std::string& runtime, const std::string& why) {
  mark_down(runtime, why);
  auto ended = zygotes_.extract(runtime);
  if (!ended.empty()) loop_.dispose(std::move(ended.mapped()));
  std::vector<std::string> lost;
  for (const auto& [instance, running] : running_) {
    if (running.runtime == runtime) lost.push_back(instance);
  }
  for (const std::string& instance : lost) {
    // One that had not entered its sandbox has run no code of the function's.
    report_exit(instance, {.code = {}, .signal = SIGKILL, .error = running_[instance].entered ? "" : why});
  }
}

// Each reason is told once, however often it is tried in vain to start it again.
void ZygoteLauncher::mark_down(const std::string& runtime, const std::string& why) {
  const auto [found, begins] = down_.try_emplace(runtime);
  Down& down = found->second;
  if (std::exchange(down.why, why) != why || begins) {
    log::error("a runtime is down, with its workers, and is started again",
               {{"runtime", std::string_view(runtime)}, {"error", std::string_view(why)}});
  }
  const Duration pause = kRestartPause * (1U << std::min(down.tries++, kMostDoublings));
  start_not_before_[runtime] = loop_.now() + pause;
  loop_.after(pause, [this, runtime, alive = alive_] {
    if (*alive) start_again(runtime);
  });
}

// Not only when a call needs it: that one would wait for the interpreter.
void ZygoteLauncher::start_again(const std::string& runtime) {
  if (zygotes_.contains(runtime) || loop_.now() < start_not_before_[runtime]) return;
  std::string why_not;
  Zygote* const made = zygote(runtime, why_not);
  if (made == nullptr) return;
  for (const Network network : wanted_[runtime]) made->want_spares(network, spares_of(runtime));
}

void ZygoteLauncher::on_zygote_ready(const std::string& runtime) {
  down_.erase(runtime);
}

void ZygoteLauncher::on_entered(zygote::Started& started) {
  const auto found = running_.find(started.worker);
  if (found == running_.end()) return;
  Running& running = found->second;
  running.entered = true;
  if (started.listener) return connect(started.worker, started.pid, std::move(started.listener));
  if (!running.needs_network) return;
  // The kernel drops a descriptor for which the receiver has no room: this worker would never have a network.
  running.error = "there was no descriptor for its network";
  kill(started.worker);
}

std::vector<RuntimeTrouble> ZygoteLauncher::troubles() const {
  std::vector<RuntimeTrouble> found;
  found.reserve(down_.size());
  for (const auto& [runtime, down] : down_) found.push_back({.runtime = runtime, .why = down.why});
  return found;
}

void ZygoteLauncher::look() {
  std::vector<std::string> hung;
  for (const auto& [runtime, each] : zygotes_) {
    if (!each->look()) hung.push_back(runtime);
  }
  for (const std::string& runtime : hung) on_zygote_gone(runtime, "it did not answer and was killed");
  for (auto& [instance, running] : running_) {
    if (running.entered || ++running.looks != kLooksUntilEntered) continue;
    running.error = "it did not enter its sandbox in time";
    kill(instance);
  }
  look_timer_ = loop_.after(kLookEvery, [this] { look(); });
}

}  // namespace sterna::launch
