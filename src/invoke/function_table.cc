#include "invoke/function_table.h"

#include <algorithm>
#include <limits>

#include "base/log.h"

namespace sterna::invoke {
namespace {

using pool::FunctionPool;
using registry::FunctionStatus;

constexpr Duration kBusyTick = std::chrono::milliseconds(5);
constexpr Duration kIdleTick = std::chrono::milliseconds(100);

bool is_of(const std::unique_ptr<FunctionPool>& pool, const registry::Version& version) {
  return pool && pool->config().version == version.number;
}

}  // namespace

FunctionTable::FunctionTable(net::Loop& loop, pool::Launcher& launcher, UlidGenerator& ids,
                             const pool::PoolLimits& limits, VersionStore& store, VersionBuilder& builder,
                             ConfigOf config_of, LogSink log, InvocationMetrics& metrics)
    : loop_(loop),
      store_(store),
      builder_(builder),
      config_of_(std::move(config_of)),
      log_(std::move(log)),
      metrics_(metrics),
      context_{.loop = loop, .launcher = launcher, .observer = *this, .ids = ids, .limits = limits} {
  context_.evict_idle = [this](std::string_view space) { return evict_idle(space); };
  schedule_tick(kIdleTick);
}

FunctionTable::~FunctionTable() {
  loop_.cancel(timer_);
}

// --- what the registry says ---

FunctionEntry& FunctionTable::upsert(const registry::Function& function) {
  auto& entry = by_id_[function.id];
  if (!entry) {
    entry = std::make_unique<FunctionEntry>();
    entry->id = function.id;
    entry->space = function.space;
    entry->name = function.name;
    entry->in_space = space_of(function.space).use;
    entry->metrics = metrics_.of(function.space, function.name);
    by_name_[function.space + "/" + function.name] = entry.get();
  }
  const registry::Version& version = function.active ? *function.active : function.newest;
  entry->status = function.status;
  entry->status_reason = function.status_reason;
  entry->has_code = !function.newest.bundle.empty();
  entry->access = version.spec.access;
  entry->queue_wait = version.spec.limits.queue_wait;
  entry->async = version.spec.async;
  entry->callback = version.spec.callback;
  entry->cors = version.spec.cors;
  entry->request_buffering = version.spec.request_buffering;
  entry->max_body_bytes =
      std::min(max_body_bytes_, static_cast<std::uint64_t>(version.spec.limits.max_body_bytes));
  return *entry;
}

std::unique_ptr<FunctionPool> FunctionTable::make_pool(const registry::Function& function,
                                                       const registry::Version& version, bool proven) {
  pool::FunctionConfig config = config_of_(function, version);
  config.proven = proven && config.refusal.empty();
  config.share = space_of(function.space).use->share;
  auto made = std::make_unique<FunctionPool>(context_, std::move(config));
  watch(*made);
  return made;
}

void FunctionTable::apply(const registry::Function& function) {
  FunctionEntry& entry = upsert(function);
  change_pools(entry, function);
  // What is known to have failed may have begun to run meanwhile, or have been given another try.
  if (entry.active && !entry.active->broken() &&
      (entry.active->config().proven || entry.active->ready_replicas() > 0))
    set_running(entry);
  tell_running(entry);
}

bool FunctionTable::wait_for_build(FunctionEntry& entry, const registry::Function& function) {
  const registry::Version& newest = function.newest;
  const bool wanted = function.wants_loading() && builder_.needs_build(newest);
  if (entry.building != 0 && (!wanted || entry.building != newest.number)) {
    builder_.cancel(entry.id);
    entry.building = 0;
  }
  if (wanted && entry.building == 0) {
    let_go(std::move(entry.candidate), nullptr, FunctionPool::Leave::kNow);
    entry.building = newest.number;
    store_.set_building(entry.id, static_cast<std::uint32_t>(newest.number));
    builder_.build(function, newest);
  }
  return wanted;
}

void FunctionTable::change_pools(FunctionEntry& entry, const registry::Function& function) {
  if (function.status == FunctionStatus::kStopped) {
    wait_for_build(entry, function);  // for nothing any more
    let_go(std::move(entry.candidate), nullptr, FunctionPool::Leave::kNow);
    let_go(std::move(entry.canary), nullptr, FunctionPool::Leave::kAfterCalls);
    return let_go(std::move(entry.active), nullptr, FunctionPool::Leave::kAfterCalls);
  }
  if (function.active) {
    const bool current = is_of(entry.active, *function.active);
    if (!current && is_of(entry.candidate, *function.active)) {
      take_over(entry, std::move(entry.candidate));
    } else if (!current && is_of(entry.canary, *function.active)) {
      take_over(entry, std::move(entry.canary));
    } else if (!current || (function.status == FunctionStatus::kRunning && entry.active->broken())) {
      // One that failed under an earlier server has to load once more.
      take_over(entry, make_pool(function, *function.active, function.status != FunctionStatus::kFailed));
    }
  }
  change_canary(entry, function);
  if (wait_for_build(entry, function)) return;
  const bool is_new = function.wants_loading();
  const bool is_renewal = !is_new && entry.active && function.active &&
                          has_old_secrets(*entry.active, function, *function.active);
  const registry::Version* wanted = is_new ? &function.newest : is_renewal ? &*function.active : nullptr;
  drop_candidate_unless(entry, function, wanted);
  if (wanted == nullptr || entry.candidate) return;
  if (is_renewal && !entry.active->broken() && entry.active->replicas() == 0 &&
      entry.active->waiting() == 0) {
    // Nothing runs: no worker has to be tried first.
    return take_over(entry, make_pool(function, *wanted, function.status != FunctionStatus::kFailed));
  }
  entry.candidate = make_pool(function, *wanted, false);
  if (is_new) store_.set_building(entry.id, entry.candidate->config().version);
  entry.candidate->probe();
}

// Comes after the active pool, which takes over what a canary leaves behind. Has loaded before, so no worker
// is tried first: one that cannot be started is a canary that fails.
void FunctionTable::change_canary(FunctionEntry& entry, const registry::Function& function) {
  const std::optional<registry::Version>& wanted = function.canary;
  entry.canary_percent = wanted ? wanted->traffic_percent : 0;
  if (wanted && is_of(entry.canary, *wanted) && !has_old_secrets(*entry.canary, function, *wanted)) return;
  let_go(std::move(entry.canary), entry.active.get(), FunctionPool::Leave::kAfterCalls);
  if (!wanted) return;
  const bool has_loaded =
      is_of(entry.candidate, *wanted) && !has_old_secrets(*entry.candidate, function, *wanted);
  entry.canary = has_loaded ? std::move(entry.candidate) : make_pool(function, *wanted, true);
  watch(*entry.canary);
}

bool FunctionTable::has_old_secrets(const FunctionPool& pool, const registry::Function& function,
                                    const registry::Version& version) const {
  if (pool.config().secrets.empty() && function.secret_values.empty()) return false;
  return pool.config().secrets != config_of_(function, version).secrets;
}

bool FunctionTable::is_renewal(const FunctionEntry& entry) {
  return entry.active && entry.candidate->config().version == entry.active->config().version;
}

void FunctionTable::drop_candidate_unless(FunctionEntry& entry, const registry::Function& function,
                                          const registry::Version* wanted) {
  if (!entry.candidate) return;
  const pool::FunctionConfig& config = entry.candidate->config();
  // One that has loaded is about to be activated, by its number alone. It gets other secrets after that.
  const bool is_loaded_version = function.wants_loading() && entry.candidate->has_loaded();
  const bool stays = wanted != nullptr && config.version == wanted->number &&
                     (is_loaded_version || config.secrets == config_of_(function, *wanted).secrets);
  if (!stays) let_go(std::move(entry.candidate), nullptr, FunctionPool::Leave::kNow);
}

void FunctionTable::remove(const std::string& id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  FunctionEntry& entry = *found->second;
  if (entry.building != 0) builder_.cancel(id);
  for (auto* pool : {&entry.candidate, &entry.canary, &entry.active})
    let_go(std::move(*pool), nullptr, FunctionPool::Leave::kNow);
  for (auto& pool : leaving_) {
    if (pool->config().id == id) pool->close(nullptr, FunctionPool::Leave::kNow);
  }
  metrics_.remove(*entry.metrics);
  const auto named = by_name_.find(entry.space + "/" + entry.name);
  if (named != by_name_.end() && named->second == &entry) by_name_.erase(named);
  const auto removed = by_id_.extract(found);  // `id` may stand in it
  ++removals_;
  removed_(id);
}

std::shared_ptr<const registry::Space> FunctionTable::find_space(std::string_view name) const {
  const auto found = spaces_.find(name);
  return found == spaces_.end() ? nullptr : found->second.settings;
}

std::shared_ptr<const SpaceUse> FunctionTable::find_space_use(std::string_view name) const {
  const auto found = spaces_.find(name);
  return found == spaces_.end() ? nullptr : found->second.use;
}

void FunctionTable::set_space_defaults(const RateLimit& rate, const api::Quota& quota) {
  default_rate_ = rate;
  default_quota_ = quota;
}

FunctionTable::Space& FunctionTable::space_of(const std::string& name) {
  Space& space = spaces_[name];
  if (!space.use) space.use = std::make_shared<SpaceUse>();
  return space;
}

void FunctionTable::set_space(registry::Space settings) {
  Space& space = space_of(settings.spec.name);
  set_limit(space.use->meter, with_defaults(settings.spec.rate_limit, default_rate_), loop_.now());
  const api::Quota quota = api::with_defaults(settings.spec.quota, default_quota_);
  space.use->share->max_replicas = static_cast<std::size_t>(quota.replicas.value_or(0));
  space.use->share->max_memory_bytes = static_cast<std::uint64_t>(quota.memory_mb.value_or(0)) << 20U;
  space.use->made_at = settings.created_at;
  space.use->max_backlog.reset();
  if (quota.backlog) {
    space.use->max_backlog = *quota.backlog == 0 ? std::numeric_limits<std::size_t>::max()
                                                 : static_cast<std::size_t>(*quota.backlog);
  }
  space.settings = std::make_shared<const registry::Space>(std::move(settings));
}

void FunctionTable::remove_space(std::string_view name) {
  if (const auto found = spaces_.find(name); found != spaces_.end()) spaces_.erase(found);
}

// The next pool takes over what waits; the old one's workers finish their calls.
void FunctionTable::take_over(FunctionEntry& entry, std::unique_ptr<FunctionPool> next) {
  std::unique_ptr<FunctionPool> old = std::exchange(entry.active, std::move(next));
  watch(*entry.active);  // for what it is given
  let_go(std::move(old), entry.active.get(), FunctionPool::Leave::kAfterCalls);
}

void FunctionTable::let_go(std::unique_ptr<FunctionPool> pool, FunctionPool* heir,
                           FunctionPool::Leave leave) {
  if (!pool) return;
  FunctionPool& leaver = *pool;
  leaver.unlink();
  leaving_.push_back(std::move(pool));
  leaver.close(heir, leave);
}

// --- what the pools say ---

void FunctionTable::on_log(const pool::FunctionConfig& config, std::string_view instance,
                           std::string_view stream, std::string_view call_id, std::string_view text) {
  if (find_id(config.id) == nullptr) return;  // the last words of a function whose log is removed
  log_(config.id, config.name, instance, stream, call_id, text);
}

void FunctionTable::log(const FunctionEntry& entry, std::string_view call_id, std::string_view text) {
  log_(entry.id, entry.name, {}, "platform", call_id, text);
}

void FunctionTable::on_loaded(const pool::FunctionConfig& config, bool async, std::string_view runtime) {
  FunctionEntry* entry = find_id(config.id);
  if (entry == nullptr) return;
  if (entry->candidate && &entry->candidate->config() == &config) {
    if (!is_renewal(*entry)) return store_.activate(config.id, config.version, async, std::string(runtime));
    take_over(*entry, std::move(entry->candidate));
  }
  if (entry->active && &entry->active->config() == &config) set_running(*entry);
}

void FunctionTable::set_running(FunctionEntry& entry) {
  if (entry.status != FunctionStatus::kFailed) return;
  entry.status = FunctionStatus::kRunning;
  store_.set_running(entry.id, entry.active->config().version);
  tell_running(entry);
}

void FunctionTable::tell_running(const FunctionEntry& entry) {
  if (entry.status == FunctionStatus::kRunning && entry.active) running_(entry.id);
}

void FunctionTable::on_broken(const pool::FunctionConfig& config, const std::string& reason, Duration) {
  FunctionEntry* entry = find_id(config.id);
  if (entry == nullptr) return;
  if (entry->candidate && &entry->candidate->config() == &config) {
    if (!is_renewal(*entry)) return store_.fail_version(config.id, config.version, reason);
    return log(*entry, {},
               "workers with the changed secrets cannot be started, the old ones go on: " + reason);
  }
  if (entry->canary && &entry->canary->config() == &config) {
    log(*entry, {}, "version " + std::to_string(config.version) + " gets no more calls: " + reason);
    return store_.fail_canary(config.id, config.version, reason);
  }
  if (!entry->active || &entry->active->config() != &config) return;
  log::warn("a function keeps failing",
            {{"space", entry->space}, {"function", entry->name}, {"reason", std::string_view(reason)}});
  entry->status = FunctionStatus::kFailed;
  entry->status_reason = reason;
  store_.set_failed(config.id, config.version, reason);
}

// --- lookups and time ---

FunctionEntry* FunctionTable::find(std::string_view space, std::string_view name) {
  key_.assign(space).append("/").append(name);
  const auto found = by_name_.find(key_);
  return found == by_name_.end() ? nullptr : found->second;
}

FunctionEntry* FunctionTable::find_id(const std::string& id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second.get();
}

void FunctionTable::for_each(const std::function<void(const FunctionEntry&)>& visit) const {
  for (const auto& [id, entry] : by_id_) visit(*entry);
}

std::vector<std::string> FunctionTable::code_in_use() const {
  std::vector<std::string> folders;
  const auto add = [&](const std::unique_ptr<FunctionPool>& pool) {
    if (pool) folders.push_back(pool->config().bundle_dir);
  };
  for (const auto& [id, entry] : by_id_) {
    for (const auto* pool : {&entry->active, &entry->canary, &entry->candidate}) add(*pool);
  }
  for (const auto& pool : leaving_) {
    if (!pool->empty()) add(pool);  // it starts no worker any more
  }
  return folders;
}

bool FunctionTable::start_trouble() const {
  constexpr Duration kRecent = std::chrono::seconds(5);  // nobody may want a worker any more
  return context_.start_trouble && loop_.now() - *context_.start_trouble < kRecent;
}

void FunctionTable::update_gauges() {
  for (auto& [id, entry] : by_id_) {
    const bool is_used =
        entry->active && (entry->metrics->invocations() > 0 || entry->active->replicas() > 0);
    if (!is_used && !entry->metrics->has_gauges()) continue;
    std::size_t replicas = 0;
    std::size_t waiting = 0;
    std::size_t running = 0;
    for (const FunctionPool* pool : {entry->active.get(), entry->canary.get()}) {
      if (pool == nullptr) continue;
      replicas += pool->replicas();
      waiting += pool->waiting();
      running += pool->running();
    }
    metrics_.set_gauges(*entry->metrics, replicas, waiting, running);
  }
}

bool FunctionTable::evict_idle(std::string_view space) {
  FunctionPool* longest_idle = nullptr;
  for (FunctionPool& pool : live_) {
    if (!space.empty() && pool.config().space != space) continue;
    const auto idle_since = pool.oldest_idle();
    if (!idle_since || (longest_idle != nullptr && *longest_idle->oldest_idle() <= *idle_since)) continue;
    const FunctionEntry* entry = find_id(pool.config().id);
    if (entry == nullptr) continue;
    if (entry->active.get() == &pool || entry->canary.get() == &pool) longest_idle = &pool;
  }
  if (longest_idle == nullptr) return false;
  longest_idle->retire_oldest_idle();
  return true;
}

void FunctionTable::tick() {
  const MonotonicTime now = loop_.now();
  bool active = false;
  for (auto pool = live_.begin(); pool != live_.end();) {
    pool->tick(now);
    active = active || pool->active();
    pool = pool->dormant() ? live_.erase(pool) : std::next(pool);
  }
  for (std::size_t i = 0; i < leaving_.size(); ++i) leaving_[i]->tick(now);
  if (std::erase_if(leaving_, [](const auto& pool) { return pool->empty(); }) > 0) left_();
  schedule_tick(active || !leaving_.empty() ? kBusyTick : kIdleTick);
}

void FunctionTable::schedule_tick(Duration delay) {
  ticks_slowly_ = delay == kIdleTick;
  timer_ = loop_.after(delay, [this] { tick(); });
}

void FunctionTable::watch(FunctionPool& pool) {
  if (!pool.is_linked()) live_.push_back(pool);
}

FunctionPool& FunctionTable::pool_for_call(FunctionEntry& entry) {
  if (!entry.canary || entry.canary->broken()) return *entry.active;
  const int side = std::uniform_int_distribution(1, registry::kAllTraffic)(dice_);
  return side <= entry.canary_percent ? *entry.canary : *entry.active;
}

void FunctionTable::submit(FunctionEntry& entry, pool::Call& call) {
  FunctionPool& chosen = pool_for_call(entry);
  watch(chosen);
  chosen.submit(call);
  if (!ticks_slowly_) return;
  loop_.cancel(timer_);
  schedule_tick(kBusyTick);
}

void FunctionTable::shut_down() {
  for (auto& [id, entry] : by_id_) {
    for (auto* pool : {&entry->candidate, &entry->canary, &entry->active})
      let_go(std::move(*pool), nullptr, FunctionPool::Leave::kNow);
  }
  for (auto& pool : leaving_) pool->close(nullptr, FunctionPool::Leave::kNow);
}

}  // namespace sterna::invoke
