// Passes on what the queue tells: to the dispatcher, to clients that wait, to the metrics.
#pragma once

#include "dispatch/dispatcher.h"
#include "dispatch/metrics.h"
#include "gateway/settlements.h"
#include "queue/lease_queue.h"

namespace sterna::server {

class QueueEvents final : public queue::QueueObserver {
 public:
  // All outlive it.
  QueueEvents(queue::LeaseQueue& queue, dispatch::Dispatcher& dispatcher, gateway::Settlements& settlements,
              dispatch::AsyncMetrics& metrics)
      : dispatcher_(dispatcher), settlements_(settlements), metrics_(metrics) {
    queue.observe(*this);
  }

  void on_ready() override { dispatcher_.wanted(); }
  void on_accepted(const queue::FunctionName& function) override { metrics_.accepted(function); }
  std::optional<queue::Interruption> interruption(const queue::Receipt& receipt) override {
    return dispatcher_.interruption(receipt);
  }
  bool is_running(const queue::Receipt& receipt) override { return dispatcher_.is_running(receipt); }
  void on_revoked(const queue::Receipt& receipt, std::string_view reason) override {
    dispatcher_.revoke(receipt, reason);
  }
  void on_settled(const queue::FunctionName& function, const std::string& id, queue::State state,
                  const std::string& reason, queue::Delivery) override {
    metrics_.settled(function, state, reason);
    settlements_.on_settled(function.id, id);
  }

 private:
  dispatch::Dispatcher& dispatcher_;
  gateway::Settlements& settlements_;
  dispatch::AsyncMetrics& metrics_;
};

}  // namespace sterna::server
