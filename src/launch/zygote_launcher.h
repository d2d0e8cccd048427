// Makes worker processes out of zygotes: one zygote for each runtime, started when the first function needs
// it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "launch/egress_network.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "pool/launcher.h"
#include "sandbox/cgroup.h"
#include "zygote/zygote_client.h"

namespace sterna::launch {

// How a runtime's zygote is started.
struct RuntimeCommand {
  std::vector<std::string> argv;
  std::vector<std::string> env;
  bool keeps_spares = true;  // false: nobody waits for its workers
};

struct RuntimeTrouble {
  std::string runtime;
  std::string why;
};

struct LaunchSettings {
  std::map<std::string, RuntimeCommand> runtimes;  // by FunctionConfig::runtime
  std::string root_dir;                            // an empty directory for the sandboxes' root
  sandbox::CgroupLayout cgroups;
  std::uint32_t spares = 2;               // of each network kind that functions use
  std::uint64_t io_bytes_per_second = 0;  // of each worker; 0: no limit
  sandbox::Isolation isolation = sandbox::Isolation::kFull;
  bool egress = true;                   // false: the machine cannot do it, functions that want it get none
  std::vector<IpRange> egress_private;  // what of private networks functions may name as targets
};

// The loop's thread must be the one that made it: zygotes die with the thread that started them.
class ZygoteLauncher final : public pool::Launcher {
 public:
  ZygoteLauncher(net::Loop& loop, LaunchSettings settings);
  ~ZygoteLauncher() override;

  // Starts the runtime's zygote and its spares ahead of the first call.
  void prepare(const std::string& runtime, Network network);
  // What its workers get, but for their host user. Any thread.
  sandbox::SandboxPlan plan_of(const pool::FunctionConfig& config) const;
  // Runtimes whose zygote has ended and is not there again.
  std::vector<RuntimeTrouble> troubles() const;
  // Whether a zygote is there, or none was ever needed.
  bool any_runtime() const { return down_.empty() || down_.size() < wanted_.size(); }
  // Whether every zygote that was started is warm, or has failed.
  bool settled() const { return starting_ == 0; }

  void start(const std::string& instance, const pool::FunctionConfig& config,
             pool::WorkerDescriptors descriptors, const pool::Origin& origin,
             pool::LaunchObserver& observer) override;
  void kill(const std::string& instance) override;

 private:
  class Zygote;
  struct Running {
    std::string runtime;
    std::string function;
    pool::LaunchObserver* observer = nullptr;
    sandbox::EgressPolicy egress;
    std::unique_ptr<EgressNetwork> network;
    bool needs_network = false;  // a seccomp listener comes with its entry
    bool entered = false;        // its sandbox
    unsigned looks = 0;          // without that
    std::string error;           // why it is killed for no fault of its own
  };
  // A runtime without its zygote.
  struct Down {
    std::string why;
    unsigned tries = 0;
  };

  Zygote* zygote(const std::string& runtime, std::string& why_not);
  std::uint32_t spares_of(const std::string& runtime) const;
  std::uint32_t take_user(const std::string& function);
  void leave_user(const std::string& function);
  void connect(const std::string& instance, pid_t worker, UniqueFd listener);
  void report_exit(const std::string& instance, const pool::WorkerExit& exit);
  void report_exit_later(const std::string& instance, std::string why);
  void on_zygote_gone(const std::string& runtime, const std::string& why);
  void on_zygote_ready(const std::string& runtime);
  void on_entered(zygote::Started& started);
  void mark_down(const std::string& runtime, const std::string& why);
  void start_again(const std::string& runtime);
  void look();

  net::Loop& loop_;
  net::Resolver resolver_;  // for all workers that may reach named hosts only
  const LaunchSettings settings_;
  std::size_t starting_ = 0;  // zygotes that have not said ready yet
  std::map<std::string, std::unique_ptr<Zygote>> zygotes_;
  std::map<std::string, std::set<Network>>
      wanted_;  // spares, by runtime: of every zygote that was ever started
  std::map<std::string, Down> down_;
  std::map<std::string, MonotonicTime> start_not_before_;
  net::Loop::TimerId look_timer_;
  std::shared_ptr<bool> alive_ =
      std::make_shared<bool>(true);                   // timers that come after the end find this false
  std::optional<sandbox::Cgroup> network_group_;      // of all pasta processes, so that a sweep finds them
  std::unordered_map<std::string, Running> running_;  // by instance
  // Host users of the functions that have workers.
  struct User {
    std::uint32_t uid = 0;
    std::size_t workers = 0;
  };
  std::unordered_map<std::string, User> users_;  // by function id
  std::unordered_set<std::uint32_t> uids_;       // of `users_`
  std::uint32_t next_uid_ = 0;
};

}  // namespace sterna::launch
