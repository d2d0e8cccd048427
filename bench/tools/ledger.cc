#include "ledger.h"

namespace sterna::bench {

double milliseconds(Time from, Time to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

void Ledger::accepted(const std::string& id, Time sent, Time at) {
  ++accepted_;
  accept_ms_.push_back(milliseconds(sent, at));
  Call& call = calls_.try_emplace(id, Call{.sent = sent}).first->second;
  if (const auto early = early_.find(id); early != early_.end()) {
    complete(call, early->second);
    early_.erase(early);
  }
}

void Ledger::called_back(const std::string& id, bool body_is_right, Time at) {
  if (!body_is_right) ++wrong_bodies_;
  const auto found = calls_.find(id);
  if (found == calls_.end()) {
    if (!early_.try_emplace(id, at).second) ++duplicates_;
  } else if (found->second.called_back) {
    ++duplicates_;
  } else {
    complete(found->second, at);
  }
}

void Ledger::complete(Call& call, Time at) {
  call.called_back = true;
  ++completed_;
  callback_ms_.push_back(milliseconds(call.sent, at));
}

}  // namespace sterna::bench
