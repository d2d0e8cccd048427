// Every function as the event loop knows it: which pool answers its calls, how one version takes over from
// another.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "invoke/ended_run.h"
#include "invoke/metrics.h"
#include "invoke/space_use.h"
#include "pool/function_pool.h"
#include "registry/function.h"

namespace sterna::invoke {

// One function. Loop only; a pointer is good until the turn ends, and as long as the table's removals()
// stands still.
struct FunctionEntry {
  std::string id;
  std::string space;
  std::string name;
  registry::FunctionStatus status = registry::FunctionStatus::kPending;
  std::string status_reason;
  bool has_code = true;  // of the newest version; false: it is to be sent yet
  api::Access access = api::Access::kToken;
  std::uint64_t max_body_bytes = 0;
  bool request_buffering = true;
  Duration queue_wait{};
  api::AsyncPolicy async;
  api::CallbackPolicy callback;
  std::optional<api::Cors> cors;
  std::shared_ptr<SpaceUse> in_space;          // of its space, which may go first
  std::unique_ptr<pool::FunctionPool> active;  // answers the calls
  std::unique_ptr<pool::FunctionPool> canary;  // answers canary_percent of them; mostly none
  int canary_percent = 0;
  // What is being loaded: a new version, or the active one again because its secrets have changed.
  std::unique_ptr<pool::FunctionPool> candidate;
  std::int64_t building = 0;  // the version that the builder has been given, until it is built; else 0
  std::unique_ptr<FunctionMetrics> metrics;
};

// What the table wants to be made durable. Called on the loop, must not block it; the changes come back by
// `apply`.
class VersionStore {
 public:
  virtual ~VersionStore() = default;
  virtual void set_building(const std::string& id, std::uint32_t version) = 0;
  virtual void activate(const std::string& id, std::uint32_t version, bool async,
                        const std::string& runtime) = 0;
  virtual void fail_version(const std::string& id, std::uint32_t version, const std::string& reason) = 0;
  virtual void fail_canary(const std::string& id, std::uint32_t version, const std::string& reason) = 0;
  virtual void set_failed(const std::string& id, std::uint32_t version, const std::string& reason) = 0;
  virtual void set_running(const std::string& id, std::uint32_t version) = 0;
};

// Makes what runs of what was sent. What became of a build is made durable: the version has a layer, or has
// failed; the change comes back by `apply`. Called on the loop, must not block it.
class VersionBuilder {
 public:
  virtual ~VersionBuilder() = default;
  // Whether the version cannot be loaded before `build` was called for it.
  virtual bool needs_build(const registry::Version& version) const = 0;
  // One build at a time for each function: `cancel` first.
  virtual void build(const registry::Function& function, const registry::Version& version) = 0;
  // Nobody waits for the function's build any more, if there is one.
  virtual void cancel(const std::string& id) = 0;
};

// Where lines of function logs go.
using LogSink =
    std::function<void(const std::string& function_id, const std::string& name, std::string_view instance,
                       std::string_view stream, std::string_view call_id, std::string_view text)>;

class FunctionTable final : private pool::PoolObserver {
 public:
  // Makes the pool's view of a version; `function_uid` and the like are the launcher's business.
  using ConfigOf = std::function<pool::FunctionConfig(const registry::Function&, const registry::Version&)>;

  FunctionTable(net::Loop& loop, pool::Launcher& launcher, UlidGenerator& ids, const pool::PoolLimits& limits,
                VersionStore& store, VersionBuilder& builder, ConfigOf config_of, LogSink log,
                InvocationMetrics& metrics);
  ~FunctionTable() override;

  // Takes over what the registry says now.
  void apply(const registry::Function& function);
  void remove(const std::string& id);
  // Called when calls are taken now (admit), and after each change of a function whose calls are taken.
  void on_running(std::function<void(const std::string& id)> told) { running_ = std::move(told); }
  // Called after a function was removed.
  void on_remove(std::function<void(const std::string& id)> told) { removed_ = std::move(told); }
  // Called after the last worker of versions that had to leave has ended.
  void on_left(std::function<void()> told) { left_ = std::move(told); }
  // Told of each run that ends, whoever started it.
  void on_run_ended(RunWatch watch) { run_watch_ = std::move(watch); }

  FunctionEntry* find(std::string_view space, std::string_view name);
  FunctionEntry* find_id(const std::string& id);
  // As the registry says now; null when there is none. Shared: who sends a callback keeps what it began with.
  std::shared_ptr<const registry::Space> find_space(std::string_view name) const;
  void set_space(registry::Space settings);
  // Of spaces that have none of their own. Call before the first space is set.
  void set_space_defaults(const RateLimit& rate, const api::Quota& quota);
  // The most that any function takes, whatever its settings say. Call before the first function is applied.
  void set_max_body(std::uint64_t bytes) { max_body_bytes_ = bytes; }
  // What it uses now; null when there is no space of that name.
  std::shared_ptr<const SpaceUse> find_space_use(std::string_view name) const;
  void remove_space(std::string_view name);

  // Hands a call to a pool of the function's. Needs entry.active.
  void submit(FunctionEntry& entry, pool::Call& call);

  void log(const FunctionEntry& entry, std::string_view call_id, std::string_view text);
  const RunWatch& run_watch() const { return run_watch_; }

  std::size_t size() const { return by_id_.size(); }
  // How many functions have been removed.
  std::uint64_t removals() const { return removals_; }
  // Pools that are looked at from time to time: those that have workers or calls, or start a worker.
  std::size_t live_pools() const { return live_.size(); }
  std::size_t workers() const { return context_.workers_total; }
  // Whether workers can at the moment not be started, for no fault of their functions'.
  bool start_trouble() const;
  // Brings the gauges of /metrics up to date.
  void update_gauges();
  void for_each(const std::function<void(const FunctionEntry&)>& visit) const;
  // The folders of the code that has workers or may get some.
  std::vector<std::string> code_in_use() const;

  // Ends all workers; poll `idle` until they are gone.
  void shut_down();
  bool idle() const { return context_.workers_total == 0; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  struct Space {
    std::shared_ptr<const registry::Space> settings;
    std::shared_ptr<SpaceUse> use;
  };
  template <class V>
  using ByText = std::unordered_map<std::string, V, Hash, std::equal_to<>>;

  void on_log(const pool::FunctionConfig& config, std::string_view instance, std::string_view stream,
              std::string_view call_id, std::string_view text) override;
  void on_loaded(const pool::FunctionConfig& config, bool async, std::string_view runtime) override;
  void on_broken(const pool::FunctionConfig& config, const std::string& reason,
                 Duration retry_after) override;

  void change_pools(FunctionEntry& entry, const registry::Function& function);
  void change_canary(FunctionEntry& entry, const registry::Function& function);
  // Whether the pool's workers have other secrets than they should.
  bool has_old_secrets(const pool::FunctionPool& pool, const registry::Function& function,
                       const registry::Version& version) const;
  // Renewed: the candidate is of the active version.
  static bool is_renewal(const FunctionEntry& entry);
  void drop_candidate_unless(FunctionEntry& entry, const registry::Function& function,
                             const registry::Version* wanted);
  // Whether the version, if one is wanted, has to be built first; the build is begun.
  bool wait_for_build(FunctionEntry& entry, const registry::Function& function);
  void set_running(FunctionEntry& entry);
  void tell_running(const FunctionEntry& entry);
  Space& space_of(const std::string& name);
  FunctionEntry& upsert(const registry::Function& function);
  std::unique_ptr<pool::FunctionPool> make_pool(const registry::Function& function,
                                                const registry::Version& version, bool proven);
  void take_over(FunctionEntry& entry, std::unique_ptr<pool::FunctionPool> next);
  void let_go(std::unique_ptr<pool::FunctionPool> pool, pool::FunctionPool* heir,
              pool::FunctionPool::Leave leave);
  pool::FunctionPool& pool_for_call(FunctionEntry& entry);
  bool evict_idle(std::string_view space);
  void watch(pool::FunctionPool& pool);
  void tick();
  void schedule_tick(Duration delay);

  net::Loop& loop_;
  VersionStore& store_;
  VersionBuilder& builder_;
  const ConfigOf config_of_;
  const LogSink log_;
  InvocationMetrics& metrics_;
  std::function<void(const std::string&)> running_ = [](const std::string&) {};
  std::function<void(const std::string&)> removed_ = [](const std::string&) {};
  std::function<void()> left_ = [] {};
  RunWatch run_watch_;
  pool::PoolContext context_;
  std::unordered_map<std::string, std::unique_ptr<FunctionEntry>> by_id_;
  ByText<FunctionEntry*> by_name_;  // "space/name"
  ByText<Space> spaces_;            // by name
  RateLimit default_rate_;
  api::Quota default_quota_;
  std::uint64_t max_body_bytes_ = UINT64_MAX;
  std::vector<std::unique_ptr<pool::FunctionPool>> leaving_;
  // Active pools and candidates that are not dormant; thousands of functions that rest cost no time.
  boost::intrusive::list<pool::FunctionPool, boost::intrusive::constant_time_size<false>> live_;
  std::uint64_t removals_ = 0;
  std::string key_;                                // scratch of find
  std::minstd_rand dice_{std::random_device()()};  // which calls go to a canary
  net::Loop::TimerId timer_;
  bool ticks_slowly_ = true;
};

}  // namespace sterna::invoke
