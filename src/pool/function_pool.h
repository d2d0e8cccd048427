// The workers of one version of one function, and the calls that wait for them.
#pragma once

#include <algorithm>
#include <boost/intrusive/list.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/ulid.h"
#include "net/loop.h"
#include "pool/call.h"
#include "pool/function_config.h"
#include "pool/launcher.h"
#include "pool/log_meter.h"
#include "pool/policy.h"
#include "pool/processor_watch.h"
#include "pool/seat.h"
#include "pool/worker.h"

namespace sterna::pool {

// What a pool tells its owner; all on the loop's thread.
class PoolObserver {
 public:
  virtual ~PoolObserver() = default;
  // A line of the function's log. `call_id` is empty outside a call; stream: stdout, stderr or platform.
  virtual void on_log(const FunctionConfig& config, std::string_view instance, std::string_view stream,
                      std::string_view call_id, std::string_view text) = 0;
  // The handler was loaded by a worker.
  virtual void on_loaded(const FunctionConfig& config, bool async, std::string_view runtime) = 0;
  // Loading failed or workers crashed too often in a row: the pool answers waiting calls with kNotRunning. It
  // starts another worker after a pause (`retry_after`), and reports `on_loaded` if that works.
  virtual void on_broken(const FunctionConfig& config, const std::string& reason, Duration retry_after) = 0;
};

struct PoolLimits {
  std::size_t queue_length = 1000;     // calls that wait, per function
  std::size_t max_workers_total = 64;  // of all functions
  std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
};

// Shared by all pools of a server.
struct PoolContext {
  net::Loop& loop;
  Launcher& launcher;
  PoolObserver& observer;
  UlidGenerator& ids;
  PoolLimits limits;
  // Makes an idle worker of some function of the space leave, of any space when that is empty: where
  // max_workers_total or the space's share is used up. False when none is idle.
  std::function<bool(std::string_view space)> evict_idle = [](std::string_view) { return false; };
  WorkerSocket::Guard guard = WorkerSocket::Guard::kKernel;
  ProcessorWatch processors{};
  std::uint64_t next_call_number = 1;
  std::size_t workers_total = 0;
  // When a worker could last not be started for no fault of its function's, unless one was ready since.
  std::optional<MonotonicTime> start_trouble = std::nullopt;
};

struct PoolCounters {
  std::uint64_t cold_starts = 0;
  std::uint64_t crashes = 0;
  std::uint64_t out_of_memory = 0;
  std::uint64_t taken_back = 0;
};

// For its owner's list of pools that need ticks.
using PoolHook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

class FunctionPool final : public PoolHook, private WorkerObserver, private LaunchObserver {
 public:
  FunctionPool(PoolContext& context, FunctionConfig config);
  // All workers must have exited (see empty()).
  ~FunctionPool() override;

  const FunctionConfig& config() const { return config_; }
  const PoolCounters& counters() const { return counters_; }

  // Takes the call; its observer may hear of a failure at once. Failure kNoCapacity when the line is full.
  void submit(Call& call);
  // Starts a worker to see whether the handler loads: on_loaded or on_broken follows.
  void probe();
  // No more calls are taken by this pool; the waiting ones move to `heir` or fail with kNotRunning when there
  // is none. Workers finish their calls and leave; kNow kills them at once, their calls fail with kStopped.
  enum class Leave : std::uint8_t { kAfterCalls, kNow };
  void close(FunctionPool* heir, Leave leave);
  bool empty() const { return workers_.empty(); }
  // The handler was loaded at least once, here or by an earlier server.
  bool has_loaded() const { return loaded_; }
  // Told on_broken, and nothing has loaded since.
  bool broken() const { return broken_; }

  // Every few milliseconds while `active`, and at least ten times a second: deadlines, take-back, scaling.
  void tick(MonotonicTime now);
  bool active() const { return running() > 0 || !line_.empty(); }
  // Needs no ticks until the next submit or probe: no worker lives, none is to be started, nothing waits.
  bool dormant() const;
  // The idle worker that was used longest ago, if the function may do without it.
  std::optional<MonotonicTime> oldest_idle() const;
  void retire_oldest_idle();

  std::size_t replicas() const;
  std::size_t ready_replicas() const;
  std::size_t waiting() const { return line_.size(); }
  std::size_t running() const;  // calls that are in workers
  std::uint32_t concurrency() const;

 private:
  friend class Call;

  struct Member {
    std::unique_ptr<Worker> worker;
    MonotonicTime run_began;  // of a busy worker: since its last call ended, or since it is busy
    bool stalled = false;     // nothing is sent ahead to it
    bool hung = false;        // runs many at a time and let one time out: gets no call until one ends
    bool killed = false;      // by us: its end is no crash
    bool served = false;      // has answered a call: its crash says nothing about the next start
    bool load_failed = false;
    bool may_pause = false;  // was started to become the parent, if loading takes long
    bool forked = false;     // from the parent
    Seat seat;               // none: the parent, which serves no calls
    MonotonicTime born;
    MonotonicTime leave_by = MonotonicTime::max();  // a retiring worker is killed then
    MonotonicTime exit_by = MonotonicTime::max();   // one that has closed its socket, or could not load
  };

  void on_ready(Worker& worker) override;
  void on_paused(Worker& worker) override;
  void on_load_failed(Worker& worker, const std::string& summary, const std::string& detail) override;
  void on_room(Worker& worker, std::optional<Duration> run) override;
  void on_log(Worker& worker, wire::Stream stream, std::string_view call_id, std::string_view text) override;
  std::string_view logged_part(std::string_view text) override;
  void on_disconnected(Worker& worker, std::string_view why) override;
  void on_exited(const std::string& instance, const WorkerExit& exit) override;

  Member* member(const Worker& worker);
  Member* member(std::string_view instance);
  void cancel(Call& call);
  bool dispatch(Call& call);
  void feed();
  void scale(MonotonicTime now);
  const Costs& costs();  // as they are now
  // Before another worker is started for those that wait.
  Duration patience();
  std::size_t busy() const;  // workers that have calls
  bool start_worker();
  bool has_room();
  bool is_share_used_up() const;
  Failure lack() const;
  Member* parent();
  bool parent_is_loading() const;
  // Why no worker pauses any more in this pool's life goes to the function's log.
  void give_up_parents(std::string_view instance, std::string_view why);
  void on_parent_exited(const std::string& instance, const WorkerExit& exit);
  void on_fork_failed(const std::string& instance, const WorkerExit& exit);
  void retire_lonely_parent(MonotonicTime now);
  void kill(Member& member);
  void retire(Member& member, MonotonicTime now);
  void take_back_all(Member& member);
  void take_back_from_starting();
  void expire_line(MonotonicTime now);
  void check_member(Member& member, MonotonicTime now);
  bool hangs(const Member& member, MonotonicTime now) const;
  bool has_streamed_call_with_time_left(Worker& worker, MonotonicTime now) const;
  void time_out(Member& member, Call& call);
  void stop_idle(MonotonicTime now);
  void keep_minimum();
  void end_calls(Member& member, const WorkerExit& exit);
  void count_failure(const std::string& reason, unsigned tolerated);
  void on_start_failed(std::string_view instance, const std::string& why);
  static void begin(Call& call, MonotonicTime when);
  void give_back(Call& call);
  void fail(Call& call, Failure failure, std::string_view detail);
  void platform_log(std::string_view instance, std::string_view text);
  void tell_dropped_lines();

  PoolContext& context_;
  const FunctionConfig config_;
  std::vector<Member> workers_;
  std::vector<WorkerView> views_;  // scratch of dispatch
  CallList line_;
  Costs costs_;
  bool is_async_ = false;
  bool loaded_;          // the handler was loaded at least once, or by an earlier server
  bool broken_ = false;  // on_broken was told: one start is tried after each pause
  bool closed_ = false;
  bool slow_to_load_ = false;  // a worker has paused: others wait for the next one that does
  bool parents_allowed_;
  unsigned lost_parents_ = 0;
  MonotonicTime keep_parent_until_{};               // though no worker lives: one did not leave by itself
  unsigned failures_ = 0;                           // failed starts and crashes in a row
  std::optional<MonotonicTime> start_fails_since_;  // without a fault of the function's
  unsigned start_failures_ = 0;                     // of that kind, in a row
  MonotonicTime start_not_before_;
  PoolCounters counters_;
  LogMeter log_meter_;
};

}  // namespace sterna::pool
