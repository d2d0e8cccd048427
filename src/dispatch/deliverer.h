// Sends the callbacks that are due.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>

#include "callback/sender.h"
#include "dispatch/reach.h"
#include "invoke/function_table.h"
#include "net/loop.h"
#include "queue/outbox.h"

namespace sterna::dispatch {

inline constexpr std::size_t kMaxDeliveries = 256;  // under way

// Told of each delivery that was tried: "delivered", "retry" or "undeliverable".
using OnDelivery = std::function<void(const queue::FunctionName&, const std::string& outcome)>;

// Loop only.
class Deliverer final : private net::TurnEnd {
 public:
  // All outlive it. Asks the outbox to be told what is due.
  Deliverer(net::Loop& loop, invoke::FunctionTable& functions, queue::Outbox& outbox,
            callback::Sender& sender, OnDelivery on_delivery);
  ~Deliverer() override;

  // Sends nothing more; what is under way goes on.
  void drain() { draining_ = true; }
  std::size_t sending() const { return sending_; }
  // None of several receivers in a row could be reached.
  bool reaches_nobody() const { return reach_.is_lost(loop_.now()); }

 private:
  // The allow-list of a space, read once for each state of it.
  struct Allowed {
    std::shared_ptr<const registry::Space> space;
    std::shared_ptr<const callback::AllowList> list;
  };

  void on_turn_end() override;
  // What the end of a delivery needs to know of it.
  struct Under {
    std::uint64_t seq = 0;
    queue::FunctionName function;
    std::int64_t tried = 0;
    MonotonicTime since;
  };

  void send(queue::DueDelivery delivery);
  void ended(const Under& under, const callback::PostResult& result);
  void note_reach(const std::string& url, const callback::PostResult& result);
  std::shared_ptr<const callback::AllowList> allowed(const std::shared_ptr<const registry::Space>& space);

  net::Loop& loop_;
  invoke::FunctionTable& functions_;
  queue::Outbox& outbox_;
  callback::Sender& sender_;
  const OnDelivery on_delivery_;
  std::unordered_map<std::string, Allowed> allowed_;  // by space
  std::size_t sending_ = 0;
  Reach reach_;
  std::minstd_rand random_{std::random_device{}()};
  bool draining_ = false;
  // Answers that come after the end find this false.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sterna::dispatch
