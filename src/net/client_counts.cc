#include "net/client_counts.h"

namespace sterna::net {
ClientCounts::Place& ClientCounts::Place::operator=(Place&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  counts_ = std::exchange(other.counts_, nullptr);
  client_ = other.client_;
  return *this;
}

void ClientCounts::Place::give_back() {
  ClientCounts* const counts = std::exchange(counts_, nullptr);
  if (counts == nullptr) return;
  const auto found = counts->counts_.find(client_);
  if (--found->second == 0) counts->counts_.erase(found);
}

std::optional<ClientCounts::Place> ClientCounts::take(const IpAddress& address) {
  if (special_use(address) == "loopback") return Place();
  const Client client = client_of(address).bytes;
  const auto found = counts_.find(client);
  if (found == counts_.end() ? most_ == 0 : found->second >= most_) return std::nullopt;
  ++counts_[client];
  return Place(*this, client);
}

}  // namespace sterna::net
