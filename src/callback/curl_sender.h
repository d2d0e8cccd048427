// The sender on libcurl: one thread of its own that carries all transfers.
#pragma once

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "callback/sender.h"
#include "callback/sender_limits.h"
#include "net/loop.h"

namespace sterna::callback {

class CurlSender final : public Sender, private net::TurnEnd {
 public:
  // `loop` and `clock` must outlive it; `clock` is read by the sender's thread too. `server_allow`: what
  // every space may call though it is not public. Throws std::system_error when the kernel gives no thread or
  // descriptors.
  CurlSender(net::Loop& loop, const Clock& clock, const SenderLimits& limits, AllowList server_allow);
  // Breaks off what is under way.
  ~CurlSender() override;
  CurlSender(const CurlSender&) = delete;
  CurlSender& operator=(const CurlSender&) = delete;

  void post(Post post, Done done) override;

 private:
  class Thread;

  void on_turn_end() override;

  net::Loop& loop_;
  std::vector<std::pair<Post, Done>> gathered_;  // since this turn began
  std::unique_ptr<Thread> thread_;
};

}  // namespace sterna::callback
