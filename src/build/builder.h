// Builds versions whose code needs it: one build for all that need the same, a few at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "build/build_run.h"
#include "build/layer_store.h"
#include "build/recipe.h"
#include "build/turns.h"
#include "bundle/bundle_store.h"
#include "invoke/function_table.h"
#include "logs/build_logs.h"
#include "net/background.h"

namespace sterna::build {

struct BuilderSettings {
  BuildLimits limits;
  std::size_t parallel = 3;     // at a time; how spaces share them: turns.h
  std::int64_t kept_logs = 10;  // of one function
};

// What becomes of builds. Called on the loop, must not block it.
class BuildResults {
 public:
  virtual ~BuildResults() = default;
  virtual void set_layer(const std::string& id, std::uint32_t version, const std::string& layer) = 0;
  virtual void fail_version(const std::string& id, std::uint32_t version, const std::string& reason) = 0;
};

// What has become of versions whose code needs more than itself, since the start.
struct BuildCounts {
  std::uint64_t built = 0;
  std::uint64_t reused = 0;  // another version had needed the same
  std::uint64_t failed = 0;
  Duration spent{};  // by builds that ended well or not
};

// All that is passed by reference outlives it. Loop only.
class Builder final : public invoke::VersionBuilder {
 public:
  Builder(net::Loop& loop, pool::Launcher& launcher, UlidGenerator& ids, bundle::BundleStore& bundles,
          LayerStore& layers, logs::BuildLogs& logs, Toolbox tools, BuilderSettings settings,
          BuildResults& results);
  ~Builder() override;

  bool needs_build(const registry::Version& version) const override;
  void build(const registry::Function& function, const registry::Version& version) override;
  void cancel(const std::string& id) override;
  // The function is deleted: its logs go.
  void forget(const std::string& id);

  // Ends all builds without a result; poll `idle` until their processes are gone.
  void shut_down();
  bool idle() const { return turns_.running() == 0; }
  std::size_t running() const { return turns_.running(); }
  std::size_t waiting() const { return turns_.waiting(); }
  const BuildCounts& counts() const { return counts_; }

 private:
  // A version that waits for its build.
  struct Wait {
    std::string id;  // of the function
    std::string space;
    std::string name;
    std::int64_t version = 0;
    std::uint64_t ticket = 0;  // tells this wait from a later one of the same function
    api::FunctionSpec spec;
    std::string bundle;
    std::string key;      // of the recipe, once that is known
    bool joined = false;  // a build
  };
  // One build, for all that wait for its key.
  struct Job {
    enum class State : std::uint8_t { kQueued, kPreparing, kRunning, kKeeping };
    Recipe recipe;
    std::string space;
    State state = State::kQueued;
    bool stopped = false;           // nobody waited for it any more
    std::set<std::string> waiting;  // ids of functions
    std::size_t number = 0;
    std::filesystem::path folder;
    std::unique_ptr<BuildRun> run;
    MonotonicTime began;
    std::string output;  // its last lines, for those who come later
  };
  using Ticket = std::pair<std::string, std::uint64_t>;

  // Runs `work` on the disk's thread and `then` with its result on the loop.
  template <class Work, class Then>
  void on_disk(Work work, Then then);
  Wait* find(const Ticket& ticket);
  void planned(const Ticket& ticket, const Result<std::optional<Recipe>>& recipe);
  void take_layer(const Ticket& ticket, const Recipe& recipe);
  void join(Wait& wait, const Recipe& recipe);
  void start_next();
  void prepared(const std::string& key, const Result<std::filesystem::path>& folder);
  void ended(const std::string& key, const std::string& failure);
  void kept(const std::string& key, const Status& status);
  void close_job(const std::string& key, const std::string& failure);
  std::size_t free_number() const;
  std::set<std::string> wanted_keys() const;
  void note(const Wait& wait, std::string_view line);
  void succeed(Wait& wait, const std::string& layer);
  void fail(Wait& wait, const std::string& reason);
  void end_log(const std::string& id, std::int64_t version, bool keep);

  net::Loop& loop_;
  pool::Launcher& launcher_;
  UlidGenerator& ids_;
  bundle::BundleStore& bundles_;
  LayerStore& layers_;
  logs::BuildLogs& logs_;
  const Toolbox tools_;
  const BuilderSettings settings_;
  BuildResults& results_;

  std::map<std::string, Wait> waits_;                 // by function
  std::map<std::string, std::unique_ptr<Job>> jobs_;  // by key
  Turns turns_;                                       // of the jobs
  BuildCounts counts_;
  std::uint64_t next_ticket_ = 1;
  bool closing_ = false;
  net::Background measure_thread_;
  net::Background disk_thread_;  // last: its jobs use the rest
};

}  // namespace sterna::build
