// One worker's way out: turns the loop's events into the steps of its EgressStarter.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "launch/name_server.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "sandbox/egress.h"
#include "sandbox/egress_rules.h"

namespace sterna::launch {

class EgressNetwork final {
 public:
  // A function can ask for sockets as fast as its processors are, and each of its calls comes here for as
  // long as it lives, at the cost of the loop's thread: so many are answered in each window.
  static constexpr std::size_t kCallsInWindow = 32;
  static constexpr Duration kWindow = std::chrono::milliseconds(10);

  // `on_failure` is told once, in words, when the network cannot be brought up. `policy` has the names that
  // the worker's own resolver answers, if any.
  EgressNetwork(net::Loop& loop, net::Resolver& resolver, UniqueFd listener, pid_t worker,
                std::vector<int> join_fds, sandbox::EgressPolicy policy,
                std::function<void(const std::string&)> on_failure);
  ~EgressNetwork();
  EgressNetwork(const EgressNetwork&) = delete;
  EgressNetwork& operator=(const EgressNetwork&) = delete;

 private:
  // Passes the events of one descriptor to a member function.
  class Watch final : public net::EventHandler {
   public:
    Watch(EgressNetwork& network, void (EgressNetwork::*step)()) : network_(network), step_(step) {}
    void on_event(std::uint32_t) override { (network_.*step_)(); }

   private:
    EgressNetwork& network_;
    void (EgressNetwork::* const step_)();
  };

  void on_listener();
  void on_ready();
  void on_deadline();
  void unwatch_ready();
  // Lets others have their turn, and rests when there were too many calls.
  void pace(std::size_t looked_at);
  // Before the first question can be asked.
  void serve_names();
  // Watches what the starter waits for now.
  void follow();

  net::Loop& loop_;
  net::Resolver& resolver_;
  const pid_t worker_;
  const sandbox::EgressPolicy policy_;
  sandbox::EgressStarter starter_;
  const std::function<void(const std::string&)> on_failure_;
  Watch listener_watch_{*this, &EgressNetwork::on_listener};
  Watch ready_watch_{*this, &EgressNetwork::on_ready};
  int watched_ready_fd_ = -1;
  net::Loop::TimerId timer_;
  MonotonicTime window_end_{};
  std::size_t in_window_ = 0;  // calls
  bool resting_ = false;       // until rest_timer_
  net::Loop::TimerId rest_timer_;
  std::optional<NameServer> names_;
  bool told_ = false;
};

}  // namespace sterna::launch
