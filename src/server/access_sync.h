// Keeps the table of apps and tokens, which the loop asks, as the registry is, which the disk keeps.
#pragma once

#include <mutex>
#include <string>

#include "auth/access_table.h"
#include "net/background.h"
#include "registry/registry.h"

namespace sterna::server {

class AccessSync {
 public:
  // All outlive it.
  AccessSync(net::Loop& loop, net::Background& thread, registry::Registry& registry);
  ~AccessSync();
  AccessSync(const AccessSync&) = delete;
  AccessSync& operator=(const AccessSync&) = delete;

  auth::AccessTable& table() { return table_; }

  // Call on the loop's thread, before requests come: fills the table, and forgets expired tokens from now on.
  Status load();

  // After the commit, on the thread that made the change: more than one may. The first one fails when the app
  // cannot be read, which has no access then, or is gone: not_found.
  Status on_app_changed(const std::string& id);
  void on_space_deleted(const std::string& name);

 private:
  void sweep_later();

  net::Loop& loop_;
  net::Background& thread_;
  registry::Registry& registry_;
  std::mutex telling_;  // held from when an app is read until the loop is told, so that the newest comes last
  auth::AccessTable table_;  // loop only
  net::Loop::TimerId timer_;
};

}  // namespace sterna::server
