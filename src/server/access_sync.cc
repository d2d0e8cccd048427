#include "server/access_sync.h"

#include "base/log.h"

namespace sterna::server {
namespace {

constexpr Duration kSweepInterval = std::chrono::minutes(1);

}  // namespace

AccessSync::AccessSync(net::Loop& loop, net::Background& thread, registry::Registry& registry)
    : loop_(loop), thread_(thread), registry_(registry) {}

AccessSync::~AccessSync() {
  loop_.cancel(timer_);
}

Status AccessSync::load() {
  if (const Status swept = registry_.sweep_tokens(); !swept) return swept;
  auto apps = registry_.app_snapshot();
  if (!apps) return std::unexpected(apps.error());
  for (registry::AppTokens& each : *apps) table_.set(std::move(each.app), each.tokens, loop_.now());
  sweep_later();
  return {};
}

// The app is read again, so that the loop gets what is in force now. Without that it has no access.
Status AccessSync::on_app_changed(const std::string& id) {
  const std::scoped_lock lock(telling_);
  auto found = registry_.app_tokens(id);
  Status read;
  if (!found) read = std::unexpected(found.error());
  loop_.post([this, id, found = std::move(found)]() mutable {
    if (found) {
      table_.set(std::move(found->app), found->tokens, loop_.now());
    } else {
      table_.remove(id);
    }
  });
  return read;
}

void AccessSync::on_space_deleted(const std::string& name) {
  const std::scoped_lock lock(telling_);
  loop_.post([this, name] { table_.remove_space(name); });
}

void AccessSync::sweep_later() {
  timer_ = loop_.after(kSweepInterval, [this] {
    table_.sweep(loop_.clock().wall());
    thread_.run([this] {
      if (const Status swept = registry_.sweep_tokens(); !swept)
        log::error("cannot remove expired tokens", {{"error", std::string_view(swept.error().detail)}});
    });
    sweep_later();
  });
}

}  // namespace sterna::server
