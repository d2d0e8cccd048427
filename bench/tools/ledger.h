// What was accepted and what came back for it: the proof that nothing is lost, doubled or invented while it
// is timed.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "poller.h"

namespace sterna::bench {

class Ledger {
 public:
  // The server said 202 to what was sent at `sent`.
  void accepted(const std::string& id, Time sent, Time at);
  // A callback for `id` came, with the body that was sent or another one. It may be here before its 202.
  void called_back(const std::string& id, bool body_is_right, Time at);

  std::uint64_t accepted_count() const { return accepted_; }
  // Accepted ones whose callback came, each counted once.
  std::uint64_t completed() const { return completed_; }
  std::uint64_t outstanding() const { return accepted_ - completed_; }
  std::uint64_t duplicates() const { return duplicates_; }
  std::uint64_t wrong_bodies() const { return wrong_bodies_; }
  // Callbacks that no 202 belongs to. Only final once every 202 has been read.
  std::uint64_t invented() const { return early_.size(); }

  // Each in milliseconds: request to 202, and request to callback.
  const std::vector<double>& accept_ms() const { return accept_ms_; }
  const std::vector<double>& callback_ms() const { return callback_ms_; }

 private:
  struct Call {
    Time sent;
    bool called_back = false;
  };
  void complete(Call& call, Time at);

  std::unordered_map<std::string, Call> calls_;
  std::unordered_map<std::string, Time> early_;  // callbacks that came before their 202
  std::uint64_t accepted_ = 0;
  std::uint64_t completed_ = 0;
  std::uint64_t duplicates_ = 0;
  std::uint64_t wrong_bodies_ = 0;
  std::vector<double> accept_ms_;
  std::vector<double> callback_ms_;
};

double milliseconds(Time from, Time to);

}  // namespace sterna::bench
