// Between the event loop, which must not wait, and the registry, which waits for the disk.
#pragma once

#include <atomic>
#include <string>

#include "build/builder.h"
#include "gateway/management.h"
#include "invoke/function_table.h"
#include "net/background.h"
#include "queue/lease_queue.h"
#include "registry/registry.h"
#include "server/access_sync.h"

namespace sterna::server {

// Makes what the pools find out durable on the management thread, and brings every committed change back to
// the table.
class RegistryBridge final : public invoke::VersionStore, public build::BuildResults {
 public:
  // All outlive it. Becomes the registry's listener.
  RegistryBridge(net::Loop& loop, net::Background& thread, registry::Registry& registry, AccessSync& access);

  // Call on the loop, once the table exists: fills it from the registry. Changes are passed on from now on.
  Status load(invoke::FunctionTable& table);

  // The loop ends: nobody waits for its answers any more.
  void stop_asking() { asks_ = false; }

  // What the loop knows of a function; for the management thread, which waits for the answer.
  gateway::FunctionMetrics metrics_of(const std::string& id);
  gateway::SpaceLoad load_of(const std::string& space, const queue::LeaseQueue& queue);

  void set_building(const std::string& id, std::uint32_t version) override;
  void activate(const std::string& id, std::uint32_t version, bool async,
                const std::string& runtime) override;
  void fail_version(const std::string& id, std::uint32_t version, const std::string& reason) override;
  void set_layer(const std::string& id, std::uint32_t version, const std::string& layer) override;
  void fail_canary(const std::string& id, std::uint32_t version, const std::string& reason) override;
  void set_failed(const std::string& id, const std::string& reason) override;
  void set_running(const std::string& id) override;

 private:
  using Change = std::function<Status(registry::Registry&)>;
  void run(std::string what, Change change);
  // What `find` finds out on the loop; T() when that takes too long.
  template <class T>
  T ask_loop(std::function<T(invoke::FunctionTable&)> find);
  void on_change(const registry::Change& change);
  void on_space_change(const std::string& name);
  void add_secret_values(registry::Function& function);

  net::Loop& loop_;
  net::Background& thread_;
  registry::Registry& registry_;
  AccessSync& access_;
  std::atomic<bool> asks_ = true;
  invoke::FunctionTable* table_ = nullptr;  // loop only
};

}  // namespace sterna::server
