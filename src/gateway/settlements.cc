#include "gateway/settlements.h"

#include <algorithm>
#include <iterator>

namespace sterna::gateway {

Settlements::Token Settlements::wait(const std::string& function_id, const std::string& id, Ended ended) {
  Token token{function_id + "/" + id, next_number_++};
  waiters_[token.first].push_back({token.second, std::move(ended)});
  return token;
}

void Settlements::forget(const Token& token) {
  const auto found = waiters_.find(token.first);
  if (found == waiters_.end()) return;
  std::erase_if(found->second, [&](const Waiter& waiter) { return waiter.number == token.second; });
  if (found->second.empty()) waiters_.erase(found);
}

void Settlements::on_settled(const std::string& function_id, const std::string& id) {
  if (waiters_.empty()) return;
  auto ended = waiters_.extract(function_id + "/" + id);
  if (ended.empty()) return;
  for (const Waiter& waiter : ended.mapped()) waiter.ended(WaitEnd::kSettled);
}

void Settlements::on_deleted(const std::string& function_id) {
  std::vector<Waiter> ended;
  for (auto each = waiters_.begin(); each != waiters_.end();) {
    if (!each->first.starts_with(function_id + "/")) {
      ++each;
      continue;
    }
    std::ranges::move(each->second, std::back_inserter(ended));
    each = waiters_.erase(each);
  }
  for (const Waiter& waiter : ended) waiter.ended(WaitEnd::kFunctionDeleted);
}

void Settlements::on_server_ends() {
  for (const auto& [call, waiters] : std::exchange(waiters_, {})) {
    for (const Waiter& waiter : waiters) waiter.ended(WaitEnd::kServerEnds);
  }
}

}  // namespace sterna::gateway
