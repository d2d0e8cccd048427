// Looks every second at what can be wrong, and tells Health: descriptors, folders, databases, runtimes, the
// clock.
#pragma once

#include <memory>
#include <vector>

#include "audit/audit_log.h"
#include "dispatch/deliverer.h"
#include "gateway/health.h"
#include "invoke/function_table.h"
#include "launch/zygote_launcher.h"
#include "net/background.h"
#include "net/http_server.h"
#include "queue/sqlite/sqlite_queue.h"
#include "registry/registry.h"
#include "server/folder_check.h"

namespace sterna::server {

// All of it outlives the watch.
struct WatchedParts {
  launch::ZygoteLauncher& launcher;
  invoke::FunctionTable& functions;
  dispatch::Deliverer& deliverer;
  registry::Registry& registry;
  queue::sqlite::SqliteQueue& queue;
  audit::AuditLog& audit;
};

class HealthWatch {
 public:
  HealthWatch(net::Loop& loop, gateway::Health& health, const WatchedParts& parts,
              std::vector<Folder> folders);
  ~HealthWatch();
  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  // From now on its connections are looked at, too.
  void watch(const net::HttpServer& http) { http_ = &http; }

 private:
  using Troubles = std::vector<gateway::Trouble>;

  void tick();
  Troubles descriptors();
  Troubles clock();
  Troubles workers() const;
  Troubles callbacks() const;
  Troubles databases();
  Troubles disk() const;
  static Troubles log();
  void check_folders();

  net::Loop& loop_;
  gateway::Health& health_;
  const WatchedParts parts_;
  const std::vector<Folder> folders_;
  const net::HttpServer* http_ = nullptr;
  std::uint64_t refused_ = 0;  // connections, for want of descriptors
  WallTime wall_;              // at the last tick
  MonotonicTime now_;
  std::optional<Duration> jump_;  // of the wall clock, until `jump_until_`
  MonotonicTime jump_until_;
  std::optional<MonotonicTime> checking_since_;  // the folders
  MonotonicTime write_next_;                     // when files are tried though nothing is wrong
  Troubles folder_troubles_;
  net::Loop::TimerId timer_;
  // Answers of the thread that come after the end find this false.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  net::Background thread_;  // blocks on the disk; last: it uses the others
};

}  // namespace sterna::server
