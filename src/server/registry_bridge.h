// Between the event loop, which must not wait, and the registry, which waits for the disk.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "build/builder.h"
#include "gateway/management.h"
#include "invoke/function_table.h"
#include "net/background.h"
#include "queue/lease_queue.h"
#include "registry/registry.h"
#include "server/access_sync.h"
#include "server/persistent_work.h"

namespace sterna::server {

// Makes what the pools find out durable on the management thread, and brings every committed change back to
// the table. What cannot be written or read is tried again until it can.
class RegistryBridge final : public invoke::VersionStore, public build::BuildResults {
 public:
  // All outlive it. Becomes the registry's listener.
  RegistryBridge(net::Loop& loop, net::Background& thread, registry::Registry& registry, AccessSync& access);

  // Call on the loop, once the table exists: fills it from the registry. Changes are passed on from now on.
  Status load(invoke::FunctionTable& table);

  // How many functions, spaces and apps wait for the registry to be written or read again. Any thread.
  std::size_t waiting() const { return work_.waiting(); }

  // The loop ends: nobody waits for its answers any more.
  void stop_asking() { asks_ = false; }

  // What the loop knows of a function; for the management thread, which waits for the answer.
  gateway::FunctionMetrics metrics_of(const std::string& id);
  gateway::SpaceLoad load_of(const std::string& space, const queue::LeaseQueue& queue);
  std::optional<std::vector<std::string>> code_in_use();

  void set_building(const std::string& id, std::uint32_t version) override;
  void activate(const std::string& id, std::uint32_t version, bool async,
                const std::string& runtime) override;
  void fail_version(const std::string& id, std::uint32_t version, const std::string& reason) override;
  void set_layer(const std::string& id, std::uint32_t version, const std::string& layer) override;
  void fail_canary(const std::string& id, std::uint32_t version, const std::string& reason) override;
  void set_failed(const std::string& id, std::uint32_t version, const std::string& reason) override;
  void set_running(const std::string& id, std::uint32_t version) override;

 private:
  using Change = std::function<Status(registry::Registry&)>;
  // `what` tells changes of the function apart: of two that are the same the later one counts.
  void run(const std::string& id, std::string what, Change change);
  // What `find` finds out on the loop; T() when that takes too long.
  template <class T>
  T ask_loop(std::function<T(invoke::FunctionTable&)> find);
  void on_change(const registry::Change& change);
  void bring_app(const std::string& id);
  // Bring what is in force now to the loop. Fail when it cannot be read.
  Status bring_function(const std::string& id);
  Status bring_space(const std::string& name);

  net::Loop& loop_;
  net::Background& thread_;
  registry::Registry& registry_;
  AccessSync& access_;
  std::atomic<bool> asks_ = true;
  invoke::FunctionTable* table_ = nullptr;  // loop only
  PersistentWork work_;
};

}  // namespace sterna::server
