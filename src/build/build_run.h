// One build in its sandbox: a worker of the template `command` whose only call is the build's tool, with the
// folder that it works in writable.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "build/recipe.h"
#include "net/background.h"
#include "pool/function_pool.h"

namespace sterna::build {

inline constexpr std::string_view kRuntime = "build";  // of the launcher: whose zygote has what builds need

struct BuildLimits {
  Duration timeout = std::chrono::minutes(10);
  std::uint64_t memory_bytes = 1ULL << 30;
  std::uint64_t disk_bytes = 2ULL << 30;  // of all that is in the build's folder
  double cpus = 2;
  std::uint32_t max_pids = 256;
};

class BuildRun final : private pool::CallObserver, private pool::PoolObserver {
 public:
  struct Place {
    std::filesystem::path folder;  // with the recipe's inputs in it
    std::string space;             // of a function that waits for it
    std::string function;
    std::size_t number = 0;  // no two builds that run at a time have the same
  };
  // What was printed, in whole lines.
  using OutputSink = std::function<void(std::string_view lines)>;
  // Comes once, in a later turn, when no process of the build is left. `failure` is empty when all went well.
  using EndSink = std::function<void(const std::string& failure)>;

  // Begins. The recipe and what is passed by reference outlive it; `disk` measures the folder. Loop only;
  // must not be destroyed before the end.
  BuildRun(net::Loop& loop, pool::Launcher& launcher, UlidGenerator& ids, net::Background& disk,
           const Recipe& recipe, const Place& place, const BuildLimits& limits, OutputSink output,
           EndSink ended);
  ~BuildRun() override;

  // The end comes soon, with this failure unless it has ended by itself.
  void stop(std::string failure);

 private:
  void on_response(pool::Call& call, const wire::ResponseHead& head, std::string_view body,
                   wire::More more) override;
  void on_body(pool::Call& call, std::string_view part, wire::More more) override;
  void on_failed(pool::Call& call, pool::Failure failure, std::string_view detail) override;
  void on_log(const pool::FunctionConfig& config, std::string_view instance, std::string_view stream,
              std::string_view call_id, std::string_view text) override;
  void on_loaded(const pool::FunctionConfig&, bool, std::string_view) override {}
  // The call's failure tells why a worker cannot be started.
  void on_broken(const pool::FunctionConfig&, const std::string&, Duration) override {}

  void take(std::string_view part);
  void finish(std::string failure);
  std::string describe(pool::Failure failure, std::string_view detail) const;
  void tick();
  void measure();

  net::Loop& loop_;
  net::Background& disk_;
  const Recipe& recipe_;
  const BuildLimits limits_;
  const std::filesystem::path folder_;
  const OutputSink output_;
  const EndSink ended_;
  pool::PoolContext context_;
  pool::FunctionPool pool_;
  pool::Call call_;
  std::string first_;  // the beginning and the end of the output, for the reason of a failure
  std::string last_;
  bool cut_ = false;                    // there was more between them
  std::optional<std::string> failure_;  // has ended; empty: well
  net::Loop::TimerId timer_;
  MonotonicTime measure_next_;
  bool measuring_ = false;
  std::shared_ptr<int> alive_ =
      std::make_shared<int>();  // what the disk thread answers to; shared with its jobs
};

}  // namespace sterna::build
