#include "gateway/settlements.h"

namespace sterna::gateway {

Settlements::Token Settlements::wait(const std::string& function_id, const std::string& id,
                                     std::function<void()> ended) {
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
  for (const Waiter& waiter : ended.mapped()) waiter.ended();
}

}  // namespace sterna::gateway
