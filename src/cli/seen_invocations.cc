#include "cli/seen_invocations.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/invocation.h"

namespace sterna::cli {

bool SeenInvocations::note(const api::Json& invocation) {
  const std::string id = cell(invocation, "id");
  auto [found, is_new] = seen_.try_emplace(id);
  if (is_new) order_.push_back(id);
  const std::string delivery = delivery_of(invocation);
  std::string standing =
      fmt::format("{} {} {}", cell(invocation, "state"), attempts_of(invocation), delivery);
  Seen& seen = found->second;
  const bool changed = seen.standing != standing;
  seen = {std::move(standing), !has_ended(invocation) || delivery == "pending", round_};
  if (order_.size() > kMaxSeen) {
    seen_.erase(order_.front());
    order_.pop_front();
  }
  return changed;
}

std::vector<std::string> SeenInvocations::unnoted(std::size_t limit) const {
  std::vector<std::pair<std::uint64_t, std::string>> open;
  for (const auto& [id, seen] : seen_) {
    if (seen.may_change && seen.round != round_) open.emplace_back(seen.round, id);
  }
  std::ranges::sort(open);
  std::vector<std::string> ids;
  for (auto& [round, id] : open) {
    if (ids.size() == limit) break;
    ids.push_back(std::move(id));
  }
  return ids;
}

}  // namespace sterna::cli
