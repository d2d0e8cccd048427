#include "launch/egress_network.h"

namespace sterna::launch {

EgressNetwork::EgressNetwork(net::Loop& loop, net::Resolver& resolver, UniqueFd listener, pid_t worker,
                             std::vector<int> join_fds, sandbox::EgressPolicy policy,
                             std::function<void(const std::string&)> on_failure)
    : loop_(loop),
      resolver_(resolver),
      worker_(worker),
      policy_(std::move(policy)),
      starter_(std::move(listener), worker, loop.clock(), std::move(join_fds)),
      on_failure_(std::move(on_failure)) {
  static_cast<void>(loop_.add(starter_.listener_fd(), listener_watch_, EPOLLIN | EPOLLET));
}

EgressNetwork::~EgressNetwork() {
  loop_.cancel(timer_);
  loop_.cancel(rest_timer_);
  unwatch_ready();
  if (starter_.listener_fd() >= 0) loop_.remove(starter_.listener_fd(), listener_watch_);
}

void EgressNetwork::on_listener() {
  if (resting_) return;
  const std::size_t looked_at = starter_.on_listener();
  // The call that asked is held until the network is up.
  if (starter_.state() == sandbox::EgressStarter::State::kStarting) serve_names();
  follow();
  pace(looked_at);
}

void EgressNetwork::pace(std::size_t looked_at) {
  const MonotonicTime now = loop_.now();
  if (now >= window_end_) {
    window_end_ = now + kWindow;
    in_window_ = 0;
  }
  in_window_ += looked_at;
  if (in_window_ >= kCallsInWindow) {
    resting_ = true;
    rest_timer_ = loop_.after(window_end_ - now, [this] {
      resting_ = false;
      on_listener();
    });
  } else if (looked_at == sandbox::EgressStarter::kCallsAtOnce) {
    loop_.tell_again(listener_watch_, EPOLLIN);
  }
}

void EgressNetwork::serve_names() {
  if (policy_.names.empty() || names_) return;
  auto sockets = sandbox::open_name_sockets(worker_);
  if (!sockets) {
    if (!std::exchange(told_, true)) on_failure_(sockets.error().detail);
    return;
  }
  names_.emplace(loop_, resolver_, std::move(*sockets), policy_.names,
                 sandbox::egress_rules(policy_, {}, sandbox::own_addresses()));
}

void EgressNetwork::unwatch_ready() {
  if (watched_ready_fd_ >= 0) loop_.remove(std::exchange(watched_ready_fd_, -1), ready_watch_);
}

// The starter closes the descriptor when it is through with it.
void EgressNetwork::on_ready() {
  unwatch_ready();
  starter_.on_ready();
  follow();
}

void EgressNetwork::on_deadline() {
  unwatch_ready();
  starter_.on_deadline();
  follow();
}

void EgressNetwork::follow() {
  if (watched_ready_fd_ < 0 && starter_.ready_fd() >= 0) {
    watched_ready_fd_ = starter_.ready_fd();
    static_cast<void>(loop_.add(watched_ready_fd_, ready_watch_, EPOLLIN));
    if (const auto deadline = starter_.deadline()) {
      loop_.cancel(timer_);  // it may be watched a second time
      timer_ = loop_.after(*deadline - loop_.clock().now(), [this] { on_deadline(); });
    }
  }
  if (starter_.state() != sandbox::EgressStarter::State::kFailed || std::exchange(told_, true)) return;
  on_failure_(starter_.error());
}

}  // namespace sterna::launch
