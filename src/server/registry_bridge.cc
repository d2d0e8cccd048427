#include "server/registry_bridge.h"

#include <future>

#include "base/log.h"

namespace sterna::server {
namespace {

constexpr auto kAnswerPatience = std::chrono::seconds(2);

std::string of_version(std::string_view what, std::uint32_t version) {
  return std::string(what) + " " + std::to_string(version);
}

// Fails when the disk is the reason. A function whose secrets cannot be read for another one still runs: its
// code finds out which of them it needs.
Status add_secret_values(registry::Registry& registry, registry::Function& function) {
  const Status added = registry.add_secret_values(function);
  if (added || added.error().code == Code::kIo) return added;
  log::error("cannot read a function's secrets", {{"space", std::string_view(function.space)},
                                                  {"function", std::string_view(function.name)},
                                                  {"error", std::string_view(added.error().detail)}});
  return {};
}

}  // namespace

RegistryBridge::RegistryBridge(net::Loop& loop, net::Background& thread, registry::Registry& registry,
                               AccessSync& access)
    : loop_(loop), thread_(thread), registry_(registry), access_(access), work_(loop, thread) {
  registry_.on_change([this](const registry::Change& change) { on_change(change); });
}

Status RegistryBridge::load(invoke::FunctionTable& table) {
  table_ = &table;
  api::Page page;
  do {
    const auto spaces = registry_.list_spaces(page);
    if (!spaces) return std::unexpected(spaces.error());
    for (const registry::Space& space : spaces->items) table.set_space(space);
    page.after = spaces->items.empty() ? std::string() : spaces->items.back().spec.name;
    if (!spaces->next_cursor) break;
  } while (true);
  auto functions = registry_.snapshot();
  if (!functions) return std::unexpected(functions.error());
  for (registry::Function& function : *functions) {
    if (const Status added = add_secret_values(registry_, function); !added) return added;
    table.apply(function);
  }
  return {};
}

// On the management thread; for apps on that of tokens too. What has changed is read again there, so that the
// loop gets what is in force now.
void RegistryBridge::on_change(const registry::Change& change) {
  using Kind = registry::Change::Kind;
  const std::string& id = change.function.id;
  const std::string& space = change.function.space;
  switch (change.kind) {
    case Kind::kAppChanged:
      return bring_app(id);
    case Kind::kSpaceDeleted:
      access_.on_space_deleted(space);
      [[fallthrough]];
    case Kind::kSpaceMade:
    case Kind::kSpaceChanged:
      return work_.run("space " + space, "read", [this, space] { return bring_space(space); });
    case Kind::kChanged:
    case Kind::kDeleted:
      return work_.run("function " + id, "read", [this, id] { return bring_function(id); });
  }
}

void RegistryBridge::bring_app(const std::string& id) {
  const Status read = access_.on_app_changed(id);
  if (read || read.error().code == Code::kNotFound) return;
  thread_.run(
      [this, id] { work_.run("app " + id, "read", [this, id] { return access_.on_app_changed(id); }); });
}

// Only what the registry says is gone is removed: its calls and its logs go with it.
Status RegistryBridge::bring_function(const std::string& id) {
  auto function = registry_.find(id);
  if (!function && function.error().code != Code::kNotFound) return std::unexpected(function.error());
  if (function) {
    if (const Status added = add_secret_values(registry_, *function); !added) return added;
  }
  loop_.post([this, id, function = std::move(function)] {
    if (table_ == nullptr) return;
    if (function) {
      table_->apply(*function);
    } else {
      table_->remove(id);
    }
  });
  return {};
}

Status RegistryBridge::bring_space(const std::string& name) {
  auto space = registry_.find_space(name);
  if (!space && space.error().code != Code::kNotFound) return std::unexpected(space.error());
  loop_.post([this, name, space = std::move(space)]() mutable {
    if (table_ == nullptr) return;
    if (space) {
      table_->set_space(std::move(*space));
    } else {
      table_->remove_space(name);
    }
  });
  return {};
}

template <class T>
T RegistryBridge::ask_loop(std::function<T(invoke::FunctionTable&)> find) {
  if (!asks_) return {};
  auto answer = std::make_shared<std::promise<T>>();
  auto future = answer->get_future();
  loop_.post(
      [this, find = std::move(find), answer] { answer->set_value(table_ == nullptr ? T() : find(*table_)); });
  if (future.wait_for(kAnswerPatience) != std::future_status::ready) return {};
  return future.get();
}

gateway::FunctionMetrics RegistryBridge::metrics_of(const std::string& id) {
  return ask_loop<gateway::FunctionMetrics>([id](invoke::FunctionTable& table) {
    gateway::FunctionMetrics metrics;
    const invoke::FunctionEntry* entry = table.find_id(id);
    if (entry == nullptr) return metrics;
    metrics.invocations = entry->metrics->invocations();
    for (const pool::FunctionPool* pool :
         {entry->active.get(), entry->canary.get(), entry->candidate.get()}) {
      if (pool == nullptr) continue;
      metrics.invocations += pool->running() + pool->waiting();  // those that have not ended yet
      metrics.replicas += pool->replicas();
      metrics.available_replicas += pool->ready_replicas();
    }
    return metrics;
  });
}

gateway::SpaceLoad RegistryBridge::load_of(const std::string& space, const queue::LeaseQueue& queue) {
  return ask_loop<gateway::SpaceLoad>([space, &queue](invoke::FunctionTable& table) {
    gateway::SpaceLoad load;
    const auto use = table.find_space_use(space);
    if (use == nullptr) return load;
    load.replicas = static_cast<std::int64_t>(use->share->used.replicas);
    load.memory_mb = static_cast<std::int64_t>(use->share->used.memory_bytes >> 20U);
    table.for_each([&](const invoke::FunctionEntry& entry) {
      if (entry.space == space) load.backlog += static_cast<std::int64_t>(queue.depth(entry.id).waiting);
    });
    return load;
  });
}

std::optional<std::vector<std::string>> RegistryBridge::code_in_use() {
  return ask_loop<std::optional<std::vector<std::string>>>(
      [](invoke::FunctionTable& table) { return table.code_in_use(); });
}

// Not in another order than they were found out.
void RegistryBridge::run(const std::string& id, std::string what, Change change) {
  thread_.run([this, id, what = std::move(what), change = std::move(change)] {
    work_.run("state of " + id, what, [this, change] { return change(registry_); });
  });
}

void RegistryBridge::set_building(const std::string& id, std::uint32_t version) {
  run(id, of_version("building", version),
      [=](registry::Registry& registry) { return registry.set_building(id, version); });
}

void RegistryBridge::activate(const std::string& id, std::uint32_t version, bool async,
                              const std::string& runtime) {
  run(id, of_version("active", version),
      [=](registry::Registry& registry) { return registry.activate(id, version, async, runtime); });
}

void RegistryBridge::fail_version(const std::string& id, std::uint32_t version, const std::string& reason) {
  run(id, of_version("version failed", version),
      [=](registry::Registry& registry) { return registry.fail_version(id, version, reason); });
}

void RegistryBridge::set_layer(const std::string& id, std::uint32_t version, const std::string& layer) {
  run(id, of_version("built", version),
      [=](registry::Registry& registry) { return registry.set_layer(id, version, layer); });
}

void RegistryBridge::fail_canary(const std::string& id, std::uint32_t version, const std::string& reason) {
  run(id, of_version("canary failed", version),
      [=](registry::Registry& registry) { return registry.fail_canary(id, version, reason); });
}

void RegistryBridge::set_failed(const std::string& id, std::uint32_t version, const std::string& reason) {
  run(id, "failed", [=](registry::Registry& registry) { return registry.set_failed(id, version, reason); });
}

void RegistryBridge::set_running(const std::string& id, std::uint32_t version) {
  run(id, "running", [=](registry::Registry& registry) { return registry.set_running(id, version); });
}

}  // namespace sterna::server
